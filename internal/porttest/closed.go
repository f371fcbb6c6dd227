//go:build unix

// Package porttest has ports of this host's for tests.
package porttest

import (
	"net/netip"
	"syscall"
	"testing"
)

// Closed is a TCP port at addr where nobody listens, nor can before the test ends: it is bound. A port that was let go again is another
// test's next listener. The test is skipped where this host has no such address.
func Closed(t *testing.T, addr netip.Addr) netip.AddrPort {
	t.Helper()
	family, at := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Addr: addr.As16()})
	if addr.Is4() {
		family, at = syscall.AF_INET, &syscall.SockaddrInet4{Addr: addr.As4()}
	}
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Skipf("this host has no sockets for %s: %v", addr, err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, at); err != nil {
		t.Skipf("this host has no %s: %v", addr, err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch name := name.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(addr, uint16(name.Port)) //nolint:gosec // a port
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(addr, uint16(name.Port)) //nolint:gosec // a port
	}
	t.Fatalf("a socket at %v", name)
	return netip.AddrPort{}
}
