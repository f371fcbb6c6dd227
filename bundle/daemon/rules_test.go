package daemon

import (
	"net/netip"
	"testing"
)

// own stands in for the container's interfaces.
func own(ip netip.Addr) bool { return ip == netip.MustParseAddr("10.77.5.2") }

func TestJudge(t *testing.T) {
	tests := []struct {
		allow, target, rule string
		ok                  bool
	}{
		{"", "example.com:443", "host-not-listed", false},
		{"example.com", "example.com:443", "example.com", true},
		{"example.com", "EXAMPLE.com.:80", "example.com", true},
		{"example.com", "www.example.com:443", "host-not-listed", false},
		{"example.com", "example.com.evil.test:443", "host-not-listed", false},
		{"example.com", "example.com:22", "port-not-listed", false},
		{"example.com:22", "example.com:22", "example.com:22", true},
		{"example.com:22", "example.com:443", "port-not-listed", false},
		{"*.example.com", "a.b.example.com:443", "*.example.com", true},
		{"*.example.com", "example.com:443", "host-not-listed", false},
		{"*.example.com", "notexample.com:443", "host-not-listed", false},
		{"*", "example.com:80", "*", true},
		{"*", "93.184.216.34:80", "host-not-listed", false},
		{"*.184.216.34", "93.184.216.34:80", "host-not-listed", false},
		{"93.184.216.34", "93.184.216.34:443", "93.184.216.34", true},
		{"93.184.216.34", "[::ffff:93.184.216.34]:443", "93.184.216.34", true},
		{"93.184.216.34:8443", "93.184.216.34:443", "port-not-listed", false},
		{"2001:db8::1", "[2001:db8::1]:443", "2001:db8::1", true},
		{"[2001:db8::1]:8080", "[2001:DB8:0::1]:8080", "[2001:db8::1]:8080", true},
		// What the container itself is.
		{"*,localhos*", "localhost:80", "loopback", false},
		{"*", "a.localhost:80", "loopback", false},
		{"localhost", "localhost:80", "localhost", true},
		{"*", "127.0.0.1:80", "loopback", false},
		{"*", "127.9.9.9:80", "loopback", false},
		{"127.0.0.1", "127.0.0.1:9099", "loopback", false},
		{"127.0.0.1:9099", "127.0.0.1:9099", "127.0.0.1:9099", true},
		{"*", "[::1]:80", "loopback", false},
		{"*", "[::ffff:127.0.0.1]:80", "loopback", false},
		{"*", "0.0.0.0:80", "loopback", false},
		{"*", "10.77.5.2:80", "own-address", false},
		{"10.77.5.2:9099", "10.77.5.2:8888", "own-address", false},
		{"*", "169.254.169.254:80", "link-local", false},
		{"169.254.169.254", "169.254.169.254:80", "169.254.169.254", true},
	}
	for _, tt := range tests {
		rs, err := ParseRules(tt.allow)
		if err != nil {
			t.Errorf("%q: %v", tt.allow, err)
			continue
		}
		to, ok := parseTarget(tt.target, 0)
		if !ok {
			t.Errorf("%q is no target", tt.target)
			continue
		}
		if got := rs.judge(to, own); got != (verdict{tt.ok, tt.rule}) {
			t.Errorf("allow %q, %s: got %+v, want %v by %q", tt.allow, tt.target, got, tt.ok, tt.rule)
		}
	}
}

func TestGuard(t *testing.T) {
	tests := []struct {
		allow, asked, resolved string
		ok                     bool
	}{
		{"*", "example.com:443", "93.184.216.34:443", true},
		{"*", "rebind.test:80", "127.0.0.1:80", false},
		{"rebind.test", "rebind.test:80", "127.0.0.1:80", false},
		{"rebind.test:9099", "rebind.test:9099", "127.0.0.1:9099", false},
		{"*", "rebind.test:9099", "10.77.5.2:9099", false},
		{"*", "rebind.test:80", "[::ffff:127.0.0.1]:80", false},
		{"*", "rebind.test:80", "169.254.169.254:80", false},
		{"*", "rebind.test:80", "[fe80::1%eth0]:80", false},
		{"*,127.0.0.1:8080", "rebind.test:8080", "127.0.0.1:8080", true},
		{"*,127.0.0.1:8080", "rebind.test:8081", "127.0.0.1:8081", false},
		{"localhost:8080", "localhost:8080", "127.0.0.1:8080", true},
		{"localhost:8080", "localhost:9099", "127.0.0.1:9099", false},
	}
	for _, tt := range tests {
		rs, err := ParseRules(tt.allow)
		if err != nil {
			t.Fatal(err)
		}
		asked, _ := parseTarget(tt.asked, 0)
		if got := rs.guard(asked, netip.MustParseAddrPort(tt.resolved), own); got.allow != tt.ok {
			t.Errorf("allow %q, %s is %s: got %+v, want %v", tt.allow, tt.asked, tt.resolved, got, tt.ok)
		}
	}
}

func TestBadRules(t *testing.T) {
	for _, text := range []string{"http://example.com", "example.com/path", "a b", "[x", "example.com:0", "example.com:http", "ex?mple.com", "fe80::1%eth0", "-x", "a@b"} {
		if rs, err := ParseRules("ok.test," + text); err == nil {
			t.Errorf("%q is taken for %+v", text, rs)
		}
	}
}

func TestBadTargets(t *testing.T) {
	for _, text := range []string{"", ":443", "example.com", "example.com:0", "example.com:65536", "example.com:x", "[fe80::1%eth0]:80", "1:2:3:443:", "[::1:80"} {
		if to, ok := parseTarget(text, 0); ok {
			t.Errorf("%q is taken for %+v", text, to)
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("example.com:443")
	f.Add("[::ffff:127.0.0.1]:80")
	f.Add("127.0.0.1:9099")
	rs, err := ParseRules("*")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, hostport string) {
		to, ok := parseTarget(hostport, 0)
		if !ok {
			return
		}
		if rs.judge(to, own).allow && (to.ip.IsValid() || to.port != 80 && to.port != 443) {
			t.Errorf("%q passes as %+v", hostport, to)
		}
		if again, ok := parseTarget(to.String(), 0); !ok || again != to {
			t.Errorf("%q: %+v is %+v when read again", hostport, to, again)
		}
	})
}
