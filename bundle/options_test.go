package bundle

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/internal/echo"
)

func customizers(opts ...Option) []testcontainers.ContainerCustomizer {
	var out []testcontainers.ContainerCustomizer
	for _, o := range opts {
		out = append(out, o)
	}
	return out
}

func TestEnv(t *testing.T) {
	secret := echo.NewSecret()
	tests := []struct {
		name string
		opts []Option
		want map[string]string
	}{
		{"defaults", []Option{WithSecret(secret)}, map[string]string{
			"BOTTLE_BUNDLE_DAEMONS": "", "BOTTLE_ECHO_SECRET": secret.String(), "BOTTLE_PROXY_ALLOW": "",
			"BOTTLE_PROXY_LISTEN": "0.0.0.0:8888", "BOTTLE_EGRESS_LISTEN": "127.0.0.1:9099", "BOTTLE_PROXY_UPSTREAM": "http://127.0.0.1:9099",
		}},
		{"everything", []Option{
			WithSecret(secret), WithDaemons("proxy"), WithDaemons("egress"), WithProxyAllow("a.test", "*.b.test:8443"), WithProxyAllow("192.0.2.1"),
			WithListen("proxy", netip.MustParseAddrPort("0.0.0.0:3128")), WithListen("egress", netip.MustParseAddrPort("0.0.0.0:9100")),
		}, map[string]string{
			"BOTTLE_BUNDLE_DAEMONS": "proxy,egress", "BOTTLE_ECHO_SECRET": secret.String(), "BOTTLE_PROXY_ALLOW": "a.test,*.b.test:8443,192.0.2.1",
			"BOTTLE_PROXY_LISTEN": "0.0.0.0:3128", "BOTTLE_EGRESS_LISTEN": "0.0.0.0:9100", "BOTTLE_PROXY_UPSTREAM": "http://127.0.0.1:9100",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := newSettings(customizers(tt.opts...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, s.env()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSecretIsMade(t *testing.T) {
	a, _ := newSettings(nil)
	b, _ := newSettings(nil)
	if a.secret == (echo.Secret{}) || a.secret == b.secret {
		t.Error("without a secret of the user's there is none of its own")
	}
}

func TestBadOptions(t *testing.T) {
	n := &Network{Subnet: netip.MustParsePrefix("10.77.5.0/24"), Gateway: netip.MustParseAddr("10.77.5.1")}
	for name, o := range map[string]Option{
		"no network":         WithNetwork(nil, n.Host(2)),
		"the gateway":        WithNetwork(n, n.Gateway),
		"the network itself": WithNetwork(n, n.Host(0)),
		"the broadcast":      WithNetwork(n, netip.MustParseAddr("10.77.5.255")),
		"outside":            WithNetwork(n, netip.MustParseAddr("10.77.6.2")),
		"no address":         WithNetwork(n, netip.Addr{}),
		"no network later":   WithLateNetwork(nil, n.Host(2)),
		"the gateway later":  WithLateNetwork(n, n.Gateway),
		"two daemons in one": WithDaemons("proxy,egress"),
		"an empty daemon":    WithDaemons(""),
		"an empty host":      WithProxyAllow("a.test", ""),
		"an unknown daemon":  WithListen("nosuch", netip.MustParseAddrPort("0.0.0.0:1")),
		"no port":            WithListen("egress", netip.MustParseAddrPort("0.0.0.0:0")),
		"nowhere":            WithListen("egress", netip.AddrPort{}),
		"published nowhere":  WithPublish(netip.Addr{}, Published{Container: 1}),
		"to everybody":       WithPublish(netip.IPv4Unspecified(), Published{Container: 1}),
		"a group":            WithPublish(netip.MustParseAddr("224.0.0.1"), Published{Container: 1}),
		"no published port":  WithPublish(netip.MustParseAddr("127.0.0.2"), Published{}),
		"published twice":    WithPublish(netip.MustParseAddr("127.0.0.2"), Published{Container: 1}, Published{Container: 1, Host: 2}),
		"no canary port":     WithCanaryPorts(0),
		"no kept canary's":   WithCanary(0),
		"one canary twice":   WithCanaryPorts(1, 1),
		"a host by no name":  WithHost("", n.Host(3)),
		"two hosts in one":   WithHost("a.test:192.0.2.1 b.test", n.Host(3)),
		"a host nowhere":     WithHost("a.test", netip.Addr{}),
	} {
		if _, err := newSettings(customizers(o)); err == nil {
			t.Errorf("%s passes", name)
		}
		if c, err := Run(t.Context(), "nosuch.invalid/image", o); err == nil || c != nil {
			t.Errorf("%s: Run went on: %v, %v", name, c, err)
		}
	}
}

func TestParseSightings(t *testing.T) {
	const nonce = "0123456789abcdef0123456789abcdef"
	sighting := `{"name":"proxy","network":"tcp","nonce":"` + nonce + `","peer":"10.77.5.1:4","local":"10.77.5.2:8888","time":"2026-01-02T03:04:05Z"}`
	log := strings.Join([]string{
		"no daemons selected", "ready: proxy,egress", "[proxy] exited with code 1; 0 of 1 left",
		"[proxy] " + sighting,
		"[egress] " + sighting, // proxy's words in egress' mouth
		sighting,               // nobody's words
		`[proxy] {"decision":"deny","target":"[proxy] {\"nonce\":\"` + nonce + `\"}:443"}`,
		`[proxy] {"name":"proxy","nonce":"short"}`, "[proxy", "[", "",
	}, "\n")
	got := parseSightings(log)
	if len(got) != 1 || got[0].Nonce != nonce || got[0].Local != "10.77.5.2:8888" || got[0].Time.Year() != 2026 {
		t.Errorf("got %+v, want the one", got)
	}
}

func FuzzParseSightings(f *testing.F) {
	f.Add(`[proxy] {"name":"proxy","nonce":"0123456789abcdef0123456789abcdef"}`)
	f.Fuzz(func(t *testing.T, log string) {
		for _, s := range parseSightings(log) {
			if !s.Nonce.Valid() || !strings.Contains(log, "["+s.Name+"] ") {
				t.Errorf("%+v out of %q", s, log)
			}
		}
	})
}

func TestPortsAreOfSelectedDaemons(t *testing.T) {
	s, err := newSettings(customizers(WithDaemons("egress", "of-another-image")))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for n := range s.ports() {
		names = append(names, n)
	}
	if !slices.Equal(names, []string{"egress"}) {
		t.Errorf("ports of %q", names)
	}
}
