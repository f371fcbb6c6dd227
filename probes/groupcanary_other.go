//go:build !linux

package probes

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

func listenOn(*net.Interface, netip.AddrPort) (net.PacketConn, error) {
	return nil, errors.New("groups and broadcasts are heard on Linux only")
}

// sendOn leaves it to the socket's address what it sends on.
func sendOn(*net.Interface, netip.Addr) func(network, address string, raw syscall.RawConn) error {
	return nil
}
