//go:build linux

package vnet

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestLastAddr(t *testing.T) {
	for prefix, want := range map[string]string{
		"10.77.3.0/24":    "10.77.3.255",
		"100.96.0.0/30":   "100.96.0.3",
		"127.0.0.0/8":     "127.255.255.255",
		"fd53:4d00::/112": "fd53:4d00::ffff",
	} {
		if got := lastAddr(netip.MustParsePrefix(prefix)); got.String() != want {
			t.Errorf("lastAddr(%s) = %s, want %s", prefix, got, want)
		}
	}
}

// An address of a bridge's subnet is dialled from the moment the bridge is
// there, over that bridge alone; what names no single host never is.
func TestLocate(t *testing.T) {
	c := spawnIdle(t)
	got := c.do(order{Op: "locate"}).String()
	want := fmt.Sprint([]string{
		"before 10.99.0.2 0",
		"10.99.0.1 1", "10.99.0.2 2 br-test", "10.99.0.0 0", "10.99.0.255 0", "10.99.1.2 0",
		"fd99::2 2 br-test", "10.98.0.1 1", "10.98.0.2 0", "127.1.2.3 1", "::1 1",
		"0.0.0.0 0", "224.0.0.251 0", "fe80::1 0", "::ffff:127.0.0.1 0",
		"after 10.99.0.2 0",
	})
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// locate makes a bridge and one that is none in the guest's namespace
// and says where addresses belong.
func locate() outcome {
	var hosts interfaces
	var said []string
	say := func(prefix, a string) {
		where, bridge := hosts.locate(netip.MustParseAddr(a))
		line := fmt.Sprintf("%s%s %d", prefix, a, where)
		if bridge != "" {
			line += " " + bridge
		}
		said = append(said, line)
	}
	say("before ", "10.99.0.2")
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br-test"}}
	other := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "veth-test"}, PeerName: "veth-peer"}
	for link, addrs := range map[netlink.Link][]string{bridge: {"10.99.0.1/24", "fd99::1/64"}, other: {"10.98.0.1/24"}} {
		if err := netlink.LinkAdd(link); err != nil {
			return failed("link", err)
		}
		for _, a := range addrs {
			if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(a))}); err != nil {
				return failed("address", err)
			}
		}
	}
	time.Sleep(interfacesRetry + time.Millisecond)
	for _, a := range []string{
		"10.99.0.1", "10.99.0.2", "10.99.0.0", "10.99.0.255", "10.99.1.2", "fd99::2", "10.98.0.1", "10.98.0.2",
		"127.1.2.3", "::1", "0.0.0.0", "224.0.0.251", "fe80::1", "::ffff:127.0.0.1",
	} {
		say("", a)
	}
	if err := netlink.LinkDel(bridge); err != nil {
		return failed("delete", err)
	}
	time.Sleep(interfacesFresh + time.Millisecond)
	say("after ", "10.99.0.2")
	return outcome{Data: fmt.Sprint(said)}
}
