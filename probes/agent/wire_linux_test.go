package agent

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

func knob(t *testing.T, path, value string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

func TestPing(t *testing.T) {
	guest, world := twoSpaces(t)
	ping4 := Attempt{Network: ICMP4, Addr: at(worldAddr, 0), BudgetMS: 3000}
	ping6 := Attempt{Network: ICMP6, Addr: at("fd00:9::2", 0), BudgetMS: 3000}
	raw4, raw6 := ping4, ping6
	raw4.Method, raw6.Method = Raw, Raw
	guest.in(func() {
		made(t, ping4).reads(t, StageRead, "", HandshakeOnly) // by a raw socket: nobody's group may, in a fresh namespace
		made(t, ping6).reads(t, StageRead, "", HandshakeOnly)
	})
	guest.without(t, func() { made(t, ping4).reads(t, StageSocket, "EPERM", Denied) }, unix.CAP_NET_RAW)
	guest.in(func() {
		knob(t, "/proc/sys/net/ipv4/ping_group_range", "0 0")
		for _, a := range []Attempt{ping4, ping6, raw4, raw6} {
			a.Nonce = echo.NewNonce()
			r := made(t, a)
			r.reads(t, StageRead, "", HandshakeOnly)
			if string(r.Reply) != string(echo.Datagram(a.Nonce)) {
				t.Errorf("%s %s: reply %q", a.Network, a.Method, r.Reply)
			}
			a.Addr = at(map[Network]string{ICMP4: "10.1.2.3", ICMP6: "fd01::1"}[a.Network], 0)
			made(t, a).reads(t, StageWrite, "ENETUNREACH", Unreachable)
		}
	})
	world.in(func() { knob(t, "/proc/sys/net/ipv4/icmp_echo_ignore_all", "1") })
	guest.in(func() {
		ping4.BudgetMS, raw4.BudgetMS = 200, 200
		made(t, ping4).reads(t, StageRead, "", Filtered)
		made(t, raw4).reads(t, StageRead, "", Filtered)
	})
	guest.without(t, func() {
		made(t, raw4).reads(t, StageSocket, "EPERM", Denied)
		made(t, raw6).reads(t, StageSocket, "EPERM", Denied)
	}, unix.CAP_NET_RAW)
}

// groupCanary hears a group on world0, and echoes.
func groupCanary(t *testing.T, network, group string) *canary {
	t.Helper()
	device, err := net.InterfaceByName("world0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenMulticastUDP(network, device, &net.UDPAddr{IP: net.ParseIP(group), Port: 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := &canary{addr: at(group, uint16(l.LocalAddr().(*net.UDPAddr).Port))}
	go func() {
		buf := make([]byte, 2048)
		for {
			k, from, err := l.ReadFrom(buf)
			if err != nil {
				return
			}
			if n, ok := c.note(buf[:k], from.String()); ok {
				_, _ = l.WriteTo(echo.Line(echo.NewReply(echo.NewSecret(), "test", n, "", "")), from)
			}
		}
	}()
	return c
}

// What is meant for everybody on the wire gets there, and the answer back.
func TestWire(t *testing.T) {
	guest, world := twoSpaces(t)
	var four, six, all, all6 *canary
	world.in(func() {
		four, six = groupCanary(t, "udp4", "239.1.2.3"), groupCanary(t, "udp6", "ff02::77")
		all, all6 = datagramCanary(t, "udp4", "0.0.0.0:0", nil), datagramCanary(t, "udp6", "[fd00:9::2]:0", nil)
	})
	port := all.addr.Port()
	for _, c := range []struct {
		network Network
		method  Method
		addr    netip.AddrPort
		canary  *canary
	}{
		{UDP4, Multicast, four.addr, four},
		{UDP6, Multicast, six.addr, six},
		{UDP4, Broadcast, at("10.9.0.255", port), all},
		{UDP4, Broadcast, at("255.255.255.255", port), all},
		{UDP6, ExtHeaders, all6.addr, all6},
		{UDP4, Link, at(worldAddr, port), all},
		{UDP4, RawIP, at(worldAddr, port), all},
	} {
		a := Attempt{Network: c.network, Method: c.method, Addr: c.addr, Nonce: echo.NewNonce(), BudgetMS: 4000}
		guest.in(func() { made(t, a).reads(t, StageRead, "", Reachable) })
		if !c.canary.saw(a.Nonce) {
			t.Errorf("%s %s: the canary saw nothing", c.method, c.addr)
		}
	}
	guest.without(t, func() {
		for _, c := range []Attempt{{Network: UDP6, Method: ExtHeaders, Addr: all6.addr}, {Network: UDP4, Method: Link, Addr: at(worldAddr, port)}, {Network: UDP4, Method: RawIP, Addr: at(worldAddr, port)}} {
			made(t, c).reads(t, StagePrepare, "EPERM", Unsupported)
		}
	}, unix.CAP_NET_RAW, unix.CAP_NET_ADMIN)
	newSpace(t).in(func() {
		made(t, Attempt{Network: UDP4, Method: Broadcast, Addr: at("255.255.255.255", 9)}).reads(t, StageWrite, "ENETUNREACH", Unreachable)
		r := made(t, Attempt{Network: UDP4, Method: Multicast, Addr: at("239.1.2.3", 9), BudgetMS: 100})
		if r.Observation != Filtered && r.Observation != Unreachable {
			t.Errorf("%+v", r)
		}
	})
}

// A frame goes where the guest's own routes forbid.
func TestFramesPassRoutes(t *testing.T) {
	guest, world := twoSpaces(t)
	var c *canary
	world.in(func() {
		give(t, "world0", far+"/32")
		c = datagramCanary(t, "udp4", far+":0", nil)
	})
	guest.in(func() {
		if err := netlink.RouteAdd(&netlink.Route{Dst: prefix("10.77.0.0/24"), Type: unix.RTN_PROHIBIT}); err != nil {
			t.Fatal(err)
		}
		a := Attempt{Network: UDP4, Addr: c.addr, Nonce: echo.NewNonce(), BudgetMS: 4000}
		made(t, a).reads(t, StageWrite, "EACCES", Denied)
		a.Method, a.Nonce = Link, echo.NewNonce()
		made(t, a) // its answer has no way back
		for deadline := time.Now().Add(2 * time.Second); !c.saw(a.Nonce); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the canary saw nothing")
			}
		}
		if peer := c.peer(t); !strings.HasPrefix(peer, guestAddr+":") {
			t.Errorf("it came from %s", peer)
		}
	})
}
