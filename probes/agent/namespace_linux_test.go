package agent

import (
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The first thread stays where it is: /proc/self/net is that thread's.
func init() { runtime.LockOSThread() }

// TestMain lets the test binary be the child that an attempt in a namespace of its own has.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == apartVerb {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// A space is a network namespace and the thread in it.
type space struct {
	do   chan func()
	file int
}

// newSpace makes a network namespace with the loopback up. It needs root, which these tests have.
func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{do: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine, and the namespace with its sockets
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.file, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		ready <- err
		for f := range s.do {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(s.do); _ = unix.Close(s.file) })
	s.in(func() { up(t, "lo") })
	return s
}

// in runs f on the namespace's thread.
func (s *space) in(f func()) {
	done := make(chan struct{})
	s.do <- func() { defer close(done); f() }
	<-done
}

// without is in, on a thread of the namespace that lacks capabilities.
func (s *space) without(t *testing.T, f func(), caps ...uint) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Setns(s.file, unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		if err := dropCapabilities(caps...); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// dropCapabilities takes capabilities from this thread.
func dropCapabilities(caps ...uint) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return err
	}
	for _, c := range caps {
		data[c/32].Effective &^= 1 << (c % 32)
		data[c/32].Permitted &^= 1 << (c % 32)
	}
	return unix.Capset(&head, &data[0])
}

func up(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func give(t *testing.T, name, cidr string) {
	t.Helper()
	addr, err := netlink.ParseAddr(cidr)
	if err == nil {
		addr.Flags = unix.IFA_F_NODAD
		err = netlink.AddrAdd(up(t, name), addr)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const (
	guestAddr = "10.9.0.1"
	worldAddr = "10.9.0.2"
)

// twoSpaces are a guest's namespace and a world's, on one wire: eth0 at guestAddr, world0 at worldAddr.
func twoSpaces(t *testing.T) (guest, world *space) {
	t.Helper()
	guest, world = newSpace(t), newSpace(t)
	guest.in(func() {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "world0", PeerNamespace: netlink.NsFd(world.file)}
		if err := netlink.LinkAdd(pair); err != nil {
			t.Fatal(err)
		}
		give(t, "eth0", guestAddr+"/24")
		give(t, "eth0", "fd00:9::1/64")
	})
	world.in(func() {
		give(t, "world0", worldAddr+"/24")
		give(t, "world0", "fd00:9::2/64")
		carried(t, "world0")
	})
	guest.in(func() { carried(t, "eth0") })
	return guest, world
}

// carried waits for a device to have a carrier, before which what is sent is dropped.
func carried(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); up(t, name).Attrs().OperState != netlink.OperUp; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s has no carrier", name)
		}
	}
}

func at(ip string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), port)
}
