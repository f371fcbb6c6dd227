//go:build linux

package vnet

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testNet is no host's: nothing may ever be dialled there (TEST-NET-2).
const testNet = "198.51.100.77"

// A target is something a guest may try to reach, with the witness that it did.
type target struct {
	name    string
	udp     bool
	addr    netip.AddrPort // as the guest spells it
	answer  string
	witness interface{ sighted(nonce string) bool }
}

func (g target) order(nonce string, wait time.Duration) order {
	if g.udp {
		return order{Op: "sendto", Addr: g.addr.String(), Send: nonce, Wait: wait}
	}
	return order{Op: "dial", Addr: g.addr.String(), Send: nonce, Wait: wait}
}

// targets are the host's loopback, an address of the host's own and the world,
// over both protocols and families, as a guest of that backend spells them.
func targets(t *testing.T, backend Backend, w *world) []target {
	t.Helper()
	host4, host6 := netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()
	spelled := func(a netip.AddrPort) netip.AddrPort {
		switch {
		case backend == TSI:
			return a
		case a.Addr().Is4():
			return netip.AddrPortFrom(gatewayV4, a.Port())
		default:
			return netip.AddrPortFrom(gatewayV6, a.Port())
		}
	}
	var list []target
	for name, addr := range map[string]netip.Addr{"loopback v4": host4, "loopback v6": host6} {
		at := netip.AddrPortFrom(addr, 0).String()
		tcp, udp := listenHost(t, "canary", at), listenHostUDP(t, "canary", at)
		list = append(list,
			target{name + " tcp", false, spelled(tcp.addr), "canary ", tcp},
			target{name + " udp", true, spelled(udp.addr), "canary ", udp})
	}
	if own, ok := ownV4(); ok {
		tcp := listenHost(t, "canary", netip.AddrPortFrom(own, 0).String())
		list = append(list, target{"own address tcp", false, tcp.addr, "canary ", tcp})
	}
	for name, addr := range map[string]string{"world v4": testNet + ":4444", "world v6": "[2001:db8::77]:4444", "metadata": "169.254.169.254:80"} {
		at := netip.MustParseAddrPort(addr)
		list = append(list, target{name + " tcp", false, at, "world ", w}, target{name + " udp", true, at, "world ", w})
	}
	slices.SortFunc(list, func(a, b target) int { return strings.Compare(a.name, b.name) })
	return list
}

// ownV4 is an address of this host's that is not loopback, nor on lo or a bridge: one
// of those may go away in the middle of a test, and a packet for it would leave by
// the default route.
func ownV4() (netip.Addr, bool) {
	links, _ := net.Interfaces()
	for _, l := range links {
		if _, err := os.Stat("/sys/class/net/" + l.Name + "/bridge"); err == nil || l.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, _ := l.Addrs()
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
				return p.Addr(), true
			}
		}
	}
	return netip.Addr{}, false
}

// wantDenied is a denial as each backend shows it: at once, and nothing seen.
func wantDenied(t *testing.T, backend Backend, g target, o outcome, nonce string) {
	t.Helper()
	switch {
	case g.udp:
		if o.Step != "read" || o.Problem != "timeout" {
			t.Errorf("got %q, want a datagram lost in silence", o)
		}
	case backend == TSI:
		wantErrno(t, o, "connect", syscall.EACCES)
	default:
		wantErrno(t, o, "connect", syscall.ECONNREFUSED)
	}
	if g.witness.sighted(nonce) {
		t.Errorf("the witness saw %s", nonce)
	}
}

func wantReached(t *testing.T, g target, o outcome, nonce string) {
	t.Helper()
	wantData(t, o, g.answer+nonce)
	if !g.witness.sighted(nonce) {
		t.Errorf("the witness did not see %s", nonce)
	}
	if g.udp && o.Addr != g.addr.String() {
		t.Errorf("answer came from %s, want %s", o.Addr, g.addr)
	}
}

// Every target is out of reach under an empty policy, within reach without one,
// and within reach when it alone is allowed, while the others stay out of reach.
func TestPolicy(t *testing.T) {
	for _, backend := range []Backend{TSI, VirtioNet} {
		t.Run(string(backend), func(t *testing.T) {
			w := listenWorld(t)
			base := Config{Backend: backend, World: w.path, HostGateway: true, FailFast: true}
			all := targets(t, backend, w)
			shut := base
			shut.Restrict = true
			open, closed := boot(t, base), boot(t, shut)
			for i, g := range all {
				t.Run(g.name, func(t *testing.T) {
					open.t, closed.t = t, t
					deny, reach := fmt.Sprint("deny", i), fmt.Sprint("reach", i)
					wantDenied(t, backend, g, closed.do(g.order(deny, 150*time.Millisecond)), deny)
					wantReached(t, g, open.do(g.order(reach, 0)), reach)
					if backend == VirtioNet || g.udp {
						wantLogged(t, closed, "egress policy denied", g.addr.String())
					}
				})
			}
			if d := closed.dials(); len(d) > 0 {
				t.Errorf("dialled under an empty policy: %v", d)
			}
			wantHermetic(t, open)
		})
	}
}

func TestPolicyAllowsOne(t *testing.T) {
	for _, backend := range []Backend{TSI, VirtioNet} {
		t.Run(string(backend), func(t *testing.T) {
			w := listenWorld(t)
			all := targets(t, backend, w)
			for i, g := range all {
				t.Run(g.name, func(t *testing.T) {
					m := boot(t, Config{
						Backend: backend, World: w.path, HostGateway: true, FailFast: true,
						Restrict: true, Allow: []netip.Prefix{netip.PrefixFrom(g.addr.Addr(), g.addr.Addr().BitLen())},
					})
					nonce := fmt.Sprint("allowed", i)
					wantReached(t, g, m.do(g.order(nonce, 0)), nonce)
					for j, other := range all {
						if other.addr.Addr() == g.addr.Addr() || other.udp {
							continue
						}
						nonce := fmt.Sprint("other", i, "-", j)
						wantDenied(t, backend, other, m.do(other.order(nonce, 0)), nonce)
					}
					wantHermetic(t, m)
				})
			}
		})
	}
}

func wantLogged(t *testing.T, m *machine, parts ...string) {
	t.Helper()
	for line := range strings.SplitSeq(m.log(), "\n") {
		missing := slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) })
		if !missing {
			return
		}
	}
	t.Errorf("no line of the log has %q:\n%s", parts, m.log())
}

// wantHermetic fails if anything but this host's own addresses was dialled.
func wantHermetic(t *testing.T, m *machine) {
	t.Helper()
	var hosts interfaces
	for _, d := range m.dials() {
		_, addr, _ := strings.Cut(d, " ")
		if where, _ := hosts.locate(netip.MustParseAddrPort(addr).Addr()); where == elsewhere {
			t.Errorf("dialled %s, which is off this machine", d)
		}
	}
}

// The floor wins over whatever is allowed, and is no more than that.
func TestFloor(t *testing.T) {
	for _, backend := range []Backend{TSI, VirtioNet} {
		for _, restrict := range []bool{true, false} {
			t.Run(fmt.Sprint(backend, restrict), func(t *testing.T) {
				w := listenWorld(t)
				cfg := Config{
					Backend: backend, World: w.path, Restrict: restrict,
					Allow: prefixes("0.0.0.0/0", "169.254.169.254/32"), Floor: prefixes("169.254.0.0/16", "fe80::/10"),
				}
				m := boot(t, cfg)
				metadata := target{"", false, netip.MustParseAddrPort("169.254.169.254:80"), "world ", w}
				wantDenied(t, backend, metadata, m.do(metadata.order("no", 0)), "no")
				metadata.udp = true
				wantDenied(t, backend, metadata, m.do(metadata.order("no", 100*time.Millisecond)), "no")
				other := target{"", false, netip.MustParseAddrPort("169.253.169.254:80"), "world ", w}
				wantReached(t, other, m.do(other.order("yes", 0)), "yes")
			})
		}
	}
}

// An allowed prefix that covers loopback opens the host's on tsi.
func TestTSIAllowCoversLoopback(t *testing.T) {
	h := listenHost(t, "canary", "127.0.0.1:0")
	m := boot(t, Config{Backend: TSI, Restrict: true, Allow: prefixes("0.0.0.0/0")})
	wantData(t, m.do(order{Op: "dial", Addr: h.addr.String(), Send: "n"}), "canary n")
	wantErrno(t, m.do(order{Op: "dial", Addr: "[::1]:9"}), "connect", syscall.EACCES)
}

func TestAllows(t *testing.T) {
	restricted := Config{Restrict: true, Allow: prefixes("172.20.0.2/32", "2001:db8::/32"), Floor: prefixes("169.254.0.0/16")}
	for addr, want := range map[string]bool{
		"172.20.0.2":             true,
		"172.20.0.3":             false,
		"::ffff:172.20.0.2":      false, // never unmapped, as in libkrun muxer.rs
		"2001:db8::1":            true,
		"2001:db9::1":            false,
		"169.254.169.254":        false,
		"::ffff:169.254.169.254": false,
	} {
		if got := restricted.allows(netip.MustParseAddr(addr)); got != want {
			t.Errorf("allows(%s) = %v, want %v", addr, got, want)
		}
	}
	open := Config{Floor: prefixes("169.254.0.0/16")}
	if !open.allows(netip.MustParseAddr("8.8.8.8")) || open.allows(netip.MustParseAddr("169.254.1.1")) {
		t.Error("without a policy everything but the floor is allowed")
	}
}

func TestConfigIsJSON(t *testing.T) {
	want := Config{
		Backend: TSI, Restrict: true, Allow: prefixes("10.0.0.0/8"), Floor: prefixes("fe80::/10"),
		HostGateway: true, FailFast: true, World: "/w", Machine: "m",
	}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Config
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Error(d)
	}
}

func TestConfigIsRefused(t *testing.T) {
	for _, c := range []Config{{}, {Backend: "slirp"}, {Backend: TSI, Allow: []netip.Prefix{{}}}} {
		if _, err := Prepare(c); err == nil {
			t.Errorf("Prepare(%v) succeeded", c)
		}
		if _, err := Serve(c, nil, nil); err == nil {
			t.Errorf("Serve(%v) succeeded", c)
		}
	}
	if _, err := Serve(Config{Backend: TSI}, nil, nil); err == nil {
		t.Error("Serve without descriptors succeeded")
	}
}
