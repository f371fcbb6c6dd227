package agent

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	spoofed = "198.18.0.77"
	far     = "10.77.0.1" // the world has it, and the guest no route to it
)

// network is the guest's addresses, routes and rules in text.
func network(t *testing.T) string {
	t.Helper()
	addrs, err := netlink.AddrList(nil, unix.AF_INET)
	if err != nil {
		t.Error(err)
	}
	routes, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Error(err)
	}
	rules, err := netlink.RuleList(unix.AF_INET)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprint(addrs, routes, rules)
}

func prefix(s string) *net.IPNet {
	_, p, err := net.ParseCIDR(s)
	if err != nil {
		panic(err)
	}
	return p
}

func TestSource(t *testing.T) {
	guest, world := twoSpaces(t)
	var c *canary
	world.in(func() {
		c = streamCanary(t, "tcp", worldAddr+":0")
		if err := netlink.RouteAdd(&netlink.Route{Dst: prefix(spoofed + "/32"), Gw: net.ParseIP(guestAddr)}); err != nil {
			t.Error(err)
		}
	})
	a := Attempt{Network: TCP4, Method: Source, Addr: c.addr, Also: at(spoofed, 0), BudgetMS: 3000}
	guest.in(func() {
		before := network(t)
		made(t, a).reads(t, StageDone, "", Reachable)
		if peer := c.peer(t); !strings.HasPrefix(peer, spoofed+":") {
			t.Errorf("it came from %s", peer)
		}
		if after := network(t); after != before {
			t.Errorf("the guest's network was\n%s\nand is\n%s", before, after)
		}
	})
	// The answer to a source that is nobody's is lost, but the SYN was sent.
	a.BudgetMS = 300
	guest.without(t, func() { made(t, a).reads(t, StageConnect, "", Filtered) }, unix.CAP_NET_ADMIN)
	guest.without(t, func() { made(t, a).reads(t, StagePrepare, "EPERM", Unsupported) }, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW)
}

// A guest whose own routes are its wall has none against root.
func TestRoute(t *testing.T) {
	guest, world := twoSpaces(t)
	var c *canary
	world.in(func() {
		give(t, "world0", far+"/32")
		c = streamCanary(t, "tcp", far+":0")
	})
	plain := Attempt{Network: TCP4, Addr: c.addr}
	a := plain
	a.Method, a.Also = Route, at(worldAddr, 80)
	guest.in(func() {
		made(t, plain).reads(t, StageConnect, "ENETUNREACH", Unreachable)
		if err := netlink.RouteAdd(&netlink.Route{Dst: prefix("10.77.0.0/24"), Type: unix.RTN_PROHIBIT}); err != nil {
			t.Fatal(err)
		}
		made(t, plain).reads(t, StageConnect, "EACCES", Denied)
		before := network(t)
		for _, by := range []string{worldAddr, "10.9.0.99"} { // by way of Also, and where that is nobody as to a neighbour
			a.Also = at(by, 0)
			a.BudgetMS = 4000
			made(t, a).reads(t, StageDone, "", Reachable)
		}
		if after := network(t); after != before {
			t.Errorf("the guest's network was\n%s\nand is\n%s", before, after)
		}
	})
	guest.without(t, func() { made(t, a).reads(t, StagePrepare, "EPERM", Unsupported) }, unix.CAP_NET_ADMIN)
}
