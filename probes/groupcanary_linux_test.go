package probes

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// A netns is a network namespace of its own, and the thread that is in it.
type netns struct {
	fd    int
	calls chan func()
}

func newNetNS(t *testing.T) *netns {
	t.Helper()
	n := &netns{calls: make(chan func())}
	up := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		up <- err
		for f := range n.calls {
			f()
		}
	}()
	t.Cleanup(func() { close(n.calls) })
	if err := <-up; err != nil {
		t.Skipf("no network namespace can be made: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(n.fd) })
	return n
}

// do calls f in the namespace.
func (n *netns) do(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	n.calls <- func() { done <- f() }
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// wire lays a cable from here to there, with an IPv4 and an IPv6 address at both ends.
func (n *netns) wire(t *testing.T, name string, there *netns, ours, theirs [2]string) {
	t.Helper()
	n.do(t, func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name, PeerNamespace: netlink.NsFd(there.fd)})
	})
	n.do(t, func() error { return bringUp(name, ours) })
	there.do(t, func() error { return bringUp(name, theirs) })
	n.do(t, func() error { return await(name, ours) })
	there.do(t, func() error { return await(name, theirs) })
}

// await returns when the kernel knows that the other end is up, and its own addresses for its own. Not before does it send to IPv6
// groups, or to itself rather than to a neighbour.
func await(name string, addrs [2]string) error {
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if link.Attrs().OperState == netlink.OperUp && isOwn(addrs[0]) && isOwn(addrs[1]) {
			return nil
		}
		if time.Now().After(limit) {
			return errors.New(name + " did not come up")
		}
	}
}

func isOwn(addr string) bool {
	ip, _, err := net.ParseCIDR(addr)
	if err != nil {
		return false
	}
	routes, err := netlink.RouteGet(ip)
	return err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL
}

func bringUp(name string, addrs [2]string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, text := range addrs {
		a, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		} else {
			a.Broadcast = net.IP{a.IP.To4()[0], a.IP.To4()[1], a.IP.To4()[2], 255}
		}
		if err := netlink.AddrAdd(link, a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// two wires to a guest, of which a canary is on the first only.
func twoWires(t *testing.T) (host, guest *netns) {
	t.Helper()
	host, guest = newNetNS(t), newNetNS(t)
	host.do(t, func() error { return bringUp("lo", [2]string{"127.0.0.2/8", "::2/128"}) }) // its own answers go over it
	host.wire(t, "a0", guest, [2]string{"10.9.0.1/24", "fd09::1/64"}, [2]string{"10.9.0.2/24", "fd09::2/64"})
	host.wire(t, "b0", guest, [2]string{"10.9.1.1/24", "fd09:1::1/64"}, [2]string{"10.9.1.2/24", "fd09:1::2/64"})
	return host, guest
}

// send has the guest send n to group from its address on, and returns the socket that an answer comes to.
func (n *netns) send(t *testing.T, group netip.AddrPort, on string, b []byte) (conn net.Conn) {
	t.Helper()
	n.do(t, func() (err error) {
		if conn, err = dialGroup(t.Context(), group, netip.MustParseAddr(on)); err == nil {
			_, err = conn.Write(b)
		}
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	return conn
}

func TestGroupCanaryHearsItsWire(t *testing.T) {
	host, guest := twoWires(t)
	for _, tc := range []struct{ group, on, on2, from, from2 string }{
		{"224.0.0.251:5353", "10.9.0.1", "10.9.1.1", "10.9.0.2", "10.9.1.2"},
		{"239.255.255.250:1900", "10.9.0.1", "10.9.1.1", "10.9.0.2", "10.9.1.2"},
		{"255.255.255.255:6767", "10.9.0.1", "10.9.1.1", "10.9.0.2", "10.9.1.2"},
		{"10.9.0.255:6768", "10.9.0.1", "10.9.0.1", "10.9.0.2", "10.9.0.2"},
		{"[ff02::fb]:5353", "fd09::1", "fd09:1::1", "fd09::2", "fd09:1::2"},
		{"[ff05::c]:1900", "fd09::1", "fd09:1::1", "fd09::2", "fd09:1::2"},
	} {
		group := netip.MustParseAddrPort(tc.group)
		var c, other *UDPCanary
		host.do(t, func() (err error) {
			c, err = NewGroupCanary("wire", group, netip.MustParseAddr(tc.on))
			return err
		})
		defer func() { _ = c.Close() }()
		host.do(t, func() error { return c.Target().Alive(t.Context()) })
		own := sightings(t, c)
		if len(own) != 1 || own[0].Local != tc.group || c.Addr() != group {
			t.Errorf("%s: sightings of its own %+v", group, own)
		}

		n := echo.NewNonce()
		reply, err := echo.ParseResponse(hear(t, guest.send(t, group, tc.from, echo.Datagram(n))))
		if err != nil || !c.Secret().Verify(n, reply) {
			t.Errorf("%s: %+v, %v", group, reply, err)
		}
		if got := sightings(t, c); len(got) != 2 || got[1].Nonce != n {
			t.Errorf("%s: sightings %+v", group, got)
		}
		// What is sent to the host's own address on the port does not arrive.
		lone := netip.AddrPortFrom(netip.MustParseAddr(tc.on), group.Port())
		var conn net.Conn
		guest.do(t, func() (err error) {
			conn, err = net.Dial("udp", lone.String())
			return err
		})
		defer func() { _ = conn.Close() }()
		_, _ = conn.Write(echo.Datagram(n))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: answers for %s", group, lone)
		}
		if tc.on == tc.on2 {
			continue
		}
		host.do(t, func() (err error) {
			other, err = NewGroupCanary("other wire", group, netip.MustParseAddr(tc.on2))
			return err
		})
		defer func() { _ = other.Close() }()
		reply, err = echo.ParseResponse(hear(t, guest.send(t, group, tc.from2, echo.Datagram(n))))
		if err != nil || !other.Secret().Verify(n, reply) {
			t.Errorf("%s: on the other wire %+v, %v", group, reply, err)
		}
		if got := sightings(t, c); len(got) != 2 {
			t.Errorf("%s: hears another wire: %+v", group, got)
		}
	}
}

func TestGroupCanaryLogsStrangersAndCloses(t *testing.T) {
	host, guest := twoWires(t)
	group := netip.MustParseAddrPort("239.1.2.3:4000")
	var c *UDPCanary
	host.do(t, func() (err error) {
		c, err = NewGroupCanary("wire", group, netip.MustParseAddr("10.9.0.1"))
		return err
	})
	guest.send(t, group, "10.9.0.2", []byte("M-SEARCH * HTTP/1.1"))
	n := echo.NewNonce()
	hear(t, guest.send(t, group, "10.9.0.2", echo.Datagram(n)))
	if got := c.Strangers(time.Time{}); len(got) != 1 {
		t.Errorf("strangers %+v", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	quick, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	host.do(t, func() error {
		if c.Alive(quick) == nil {
			t.Error("a closed canary is alive")
		}
		return nil
	})
}

// Two runs beside each other listen to the same group on the same wire, and neither hears or answers what is sent to the other.
func TestGroupCanariesBesideEachOther(t *testing.T) {
	host, guest := twoWires(t)
	for _, group := range []string{"239.1.2.3:0", "255.255.255.255:0", "10.9.0.255:0"} {
		var both [2]*UDPCanary
		for i := range both {
			host.do(t, func() (err error) {
				both[i], err = NewGroupCanary("wire", netip.MustParseAddrPort(group), netip.MustParseAddr("10.9.0.1"))
				return err
			})
			defer func() { _ = both[i].Close() }()
		}
		if both[0].Addr() == both[1].Addr() || both[0].Addr().Port() == 0 {
			t.Errorf("%s: both at %s", group, both[0].Addr())
		}
		for i, c := range both {
			for range 5 { // whoever else answered would answer first now and then
				host.do(t, func() error { return c.Target().Alive(t.Context()) })
			}
			n := echo.NewNonce()
			if _, err := guest.send(t, c.Addr(), "10.9.0.2", echo.Request(n)).Read(make([]byte, echo.MaxReply)); err != nil {
				t.Errorf("%s: %v", group, err)
			}
			heard := func(c *UDPCanary) bool {
				return slices.ContainsFunc(sightings(t, c), func(s echo.Sighting) bool { return s.Nonce == n })
			}
			if !heard(c) || heard(both[1-i]) {
				t.Errorf("%s: heard by it %t, by the other %t", group, heard(c), heard(both[1-i]))
			}
		}
	}
}

func TestGroupCanaryKnowsWhereItIs(t *testing.T) {
	for _, tc := range []struct{ group, on string }{
		{"239.1.2.3:4000", "::1"}, {"239.1.2.3:4000", "192.0.2.213"}, {"[ff02::1]:4000", "2001:db8::213"},
	} {
		if c, err := NewGroupCanary("x", netip.MustParseAddrPort(tc.group), netip.MustParseAddr(tc.on)); err == nil {
			_ = c.Close()
			t.Errorf("a canary for %s on %s", tc.group, tc.on)
		}
	}
	if c, err := NewGroupCanary("x", netip.AddrPort{}, netip.Addr{}); err == nil {
		_ = c.Close()
		t.Error("a canary nowhere")
	}
}
