//go:build linux

package vnet

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

func ask(to, name string) order {
	return order{Op: "resolve", Network: "udp", Addr: to, Send: name, Wait: 300 * time.Millisecond}
}

const gatewayDNS, anyDNS = "100.96.0.1:53", "203.0.113.53:53"

// virtio-net answers questions to any address whatever the policy, and forwards
// every name where there are no hosts: the tunnel that smolvm leaves open.
func TestNamesOnVirtioNet(t *testing.T) {
	w := listenWorld(t)
	cfg := Config{Backend: VirtioNet, World: w.path, Restrict: true}
	m := boot(t, cfg)
	for i, to := range []string{gatewayDNS, anyDNS, "[2001:db8::53]:53"} {
		name := fmt.Sprintf("n%d.tunnel.example", i)
		wantData(t, m.do(ask(to, name)), "NOERROR 198.51.100.53")
		if !w.sighted(name) {
			t.Errorf("%s: the world was not asked for %s", to, name)
		}
	}
	o := ask(anyDNS, "tcp.tunnel.example")
	o.Network = "tcp"
	wantErrno(t, m.do(order{Op: "dial", Addr: anyDNS}), "connect", syscall.ECONNREFUSED)
	if got := m.do(o); got.Errno != syscall.ECONNREFUSED || w.sighted("tcp.tunnel.example") {
		t.Errorf("TCP to another name server: got %s, want what the policy says", got)
	}
	o.Addr = gatewayDNS
	wantData(t, m.do(o), "NOERROR 198.51.100.53")
	cfg.World = WorldNone
	wantData(t, boot(t, cfg).do(ask(gatewayDNS, "nobody.example")), "SERVFAIL")
}

// With hosts other names do not exist, and what an allowed name resolves to is
// allowed from then on, but for the floor.
func TestHostFilter(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		w := listenWorld(t)
		w.names = map[string]string{
			"allowed.example": "198.51.100.77", "sub.allowed.example": "198.51.100.78", "six.allowed.example": "2001:db8::9",
			"rebound.allowed.example": "169.254.169.254", "other.example": "198.51.100.79",
		}
		cfg := Config{
			Backend: backend, World: w.path, Restrict: true, Floor: prefixes("169.254.0.0/16"),
			Hosts: []string{"Allowed.Example"}, InterceptDNS: true,
		}
		m := boot(t, cfg)
		denied := syscall.ECONNREFUSED
		if backend == TSI {
			denied = syscall.EACCES
		}
		dial := func(addr string) order { return order{Op: "dial", Addr: addr + ":4444", Send: addr} }
		for _, addr := range []string{"198.51.100.77", "198.51.100.78", "198.51.100.79", "169.254.169.254", "[2001:db8::9]"} {
			wantErrno(t, m.do(dial(addr)), "connect", denied)
		}
		for _, to := range []string{gatewayDNS, anyDNS} {
			wantData(t, m.do(ask(to, "other.example")), "NXDOMAIN")
			wantData(t, m.do(ask(to, "notallowed.example")), "NXDOMAIN")
			wantData(t, m.do(ask(to, "allowed.example")), "NOERROR 198.51.100.77")
		}
		wantData(t, m.do(ask(anyDNS, "sub.allowed.example")), "NOERROR 198.51.100.78")
		wantData(t, m.do(ask(anyDNS, "rebound.allowed.example")), "NOERROR 169.254.169.254")
		wantData(t, m.do(ask(anyDNS, "AAAA six.allowed.example")), "NOERROR 2001:db8::9")
		for _, name := range []string{"other.example", "notallowed.example"} {
			if w.sighted(name) {
				t.Errorf("the world was asked for %s", name)
			}
		}
		for _, addr := range []string{"198.51.100.77", "198.51.100.78", "[2001:db8::9]"} {
			wantData(t, m.do(dial(addr)), "world "+addr)
			o := order{Op: "dial", Network: "udp", Addr: addr + ":4445", Send: "u" + addr}
			wantData(t, m.do(o), "world u"+addr)
		}
		for _, addr := range []string{"198.51.100.79", "169.254.169.254"} {
			wantErrno(t, m.do(dial(addr)), "connect", denied)
		}
		wantLogged(t, m, "other.example", "host filter")

		cfg.OpenResolver = true
		wantData(t, boot(t, cfg).do(ask(anyDNS, "other.example")), "NOERROR 198.51.100.79")
		if !w.sighted("other.example") {
			t.Error("an open resolver did not ask the world")
		}
	})
}

// Before smolvm 1.0.0 the filter is a proxy on the guest's 127.0.0.1 and nothing
// else: a resolver that the policy allows answers any name.
func TestHostFilterOfOldIsAdvisory(t *testing.T) {
	w := listenWorld(t)
	m := boot(t, Config{
		Backend: TSI, World: w.path, Restrict: true, Allow: prefixes("1.1.1.1/32"), Hosts: []string{"allowed.example"},
	})
	wantData(t, m.do(ask("127.0.0.1:53", "allowed.example")), "NOERROR 198.51.100.53")
	wantData(t, m.do(ask("127.0.0.1:53", "other.example")), "NXDOMAIN")
	wantData(t, m.do(ask("1.1.1.1:53", "tunnel.example")), "NOERROR 198.51.100.53")
	wantErrno(t, m.do(ask("8.8.8.8:53", "lost.example")), "resolve", syscall.EACCES)
	wantErrno(t, m.do(order{Op: "dial", Addr: "198.51.100.53:4444"}), "connect", syscall.EACCES) // nothing is learned
	if !w.sighted("tunnel.example") || w.sighted("lost.example") {
		t.Error("the world was asked for the wrong names")
	}
}

// Names of this host are answered here.
func TestOwnNames(t *testing.T) {
	w := listenWorld(t)
	cfg := Config{Backend: VirtioNet, World: w.path, Restrict: true, Hosts: []string{"allowed.example"}, NameHost: true}
	m := boot(t, cfg)
	for name, want := range map[string]string{
		"host.smolvm.internal": "NOERROR 100.96.0.1", "AAAA host.smolvm.internal": "NOERROR fd53:4d00::1",
		"localhost": "NOERROR 127.0.0.1", "AAAA a.localhost": "NOERROR ::1",
	} {
		wantData(t, m.do(ask(gatewayDNS, name)), want)
	}
	if len(w.saw) > 0 {
		t.Errorf("the world saw %v", w.saw)
	}
	cfg.NameHost = false
	wantData(t, boot(t, cfg).do(ask(gatewayDNS, "host.smolvm.internal")), "NXDOMAIN")
}

func TestNameServerIgnoresWhatIsNoQuestion(t *testing.T) {
	w := listenWorld(t)
	m := boot(t, Config{Backend: VirtioNet, World: w.path})
	if o := m.do(order{Op: "sendto", Addr: gatewayDNS, Send: "no question", Wait: 100 * time.Millisecond}); o.Problem != "timeout" {
		t.Errorf("got %s", o)
	}
	if o := m.do(order{Op: "dial", Addr: gatewayDNS, Send: "\x00\x04none"}); o.Step != "read" {
		t.Errorf("got %s", o)
	}
	if len(w.saw) > 0 {
		t.Errorf("the world saw %v", w.saw)
	}
}

func TestLookup(t *testing.T) {
	w := listenWorld(t)
	w.names = map[string]string{"six.example": "2001:db8::9"}
	r := Resolver{World: w.path, Machine: "m"}
	for host, want := range map[string]string{
		"192.0.2.1": "[192.0.2.1]", "localhost": "[127.0.0.1 ::1]", "four.example": "[198.51.100.53]", "six.example.": "[2001:db8::9]",
	} {
		got, err := r.Lookup(t.Context(), host)
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("%s: got %v, %v, want %s", host, got, err, want)
		}
	}
	if got, err := (Resolver{}).Lookup(t.Context(), "four.example"); err == nil {
		t.Errorf("without a world: got %v", got)
	}
	if got, err := (Resolver{}).Lookup(t.Context(), "localhost"); err != nil || len(got) != 2 {
		t.Errorf("without a world: got %v, %v", got, err)
	}
}

func TestLearnedAddressesExpire(t *testing.T) {
	var l learned
	a, b := prefixes("198.51.100.1/32")[0].Addr(), prefixes("198.51.100.2/32")[0].Addr()
	if fresh, _ := l.add(a, 0); !fresh || !l.knows(a) || l.knows(b) {
		t.Error("what was learned is not known")
	}
	if until := time.Until(l.until[a]); until < minLearned-time.Second || until > minLearned {
		t.Errorf("learned for %v, want %v at least", until, minLearned)
	}
	l.add(a, 24*time.Hour)
	if until := time.Until(l.until[a]); until > maxLearned {
		t.Errorf("learned for %v, want %v at most", until, maxLearned)
	}
	l.until[a] = time.Now().Add(-time.Second)
	if l.knows(a) {
		t.Error("an expired address is known")
	}
	if _, expired := l.add(b, 0); fmt.Sprint(expired) != "[198.51.100.1]" {
		t.Errorf("expired are %v", expired)
	}
}
