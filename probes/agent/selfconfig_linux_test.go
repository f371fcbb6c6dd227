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
	farSix = "2001:db8:77::1" // the world has it, and the guest no route to it
	ownSix = "fd00:b077::77"  // the guest gives it to itself
)

// networkSix is the guest's addresses and routes of IPv6 in text.
func networkSix(t *testing.T) string {
	t.Helper()
	addrs, err := netlink.AddrList(nil, unix.AF_INET6)
	if err != nil {
		t.Error(err)
	}
	routes, err := netlink.RouteListFiltered(unix.AF_INET6, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprint(addrs, routes)
}

// A guest that has no address of the family has one as soon as it wants, and leaves nothing of it.
func TestSelfConfig(t *testing.T) {
	guest, world := twoSpaces(t)
	var c *canary
	world.in(func() {
		l, err := netlink.LinkByName("world0")
		if err != nil {
			t.Fatal(err)
		}
		_, p, _ := net.ParseCIDR(farSix + "/128")
		if err := netlink.AddrAdd(l, &netlink.Addr{IPNet: p, Flags: unix.IFA_F_NODAD}); err != nil {
			t.Fatal(err)
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: prefix(ownSix + "/128")}); err != nil {
			t.Fatal(err)
		}
		c = streamCanary(t, "tcp", "["+farSix+"]:0")
	})
	plain := Attempt{Network: TCP6, Addr: c.addr, BudgetMS: 1000}
	a := plain
	a.Method, a.Also, a.BudgetMS = SelfConfig, at(ownSix, 0), 4000
	guest.in(func() {
		made(t, plain).reads(t, StageConnect, "ENETUNREACH", Unreachable)
		made(t, a).reads(t, StageDone, "", Reachable)
		if peer := c.peer(t); !strings.HasPrefix(peer, "["+ownSix+"]:") {
			t.Errorf("it came from %s", peer)
		}
		for _, mine := range []string{ownSix, farSix} { // what else there is comes and goes by the kernel
			if left := networkSix(t); strings.Contains(left, mine) {
				t.Errorf("%s is there still:\n%s", mine, left)
			}
		}
	})
	guest.without(t, func() { made(t, a).reads(t, StagePrepare, "EPERM", Unsupported) }, unix.CAP_NET_ADMIN)
}
