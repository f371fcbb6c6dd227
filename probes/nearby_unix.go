//go:build unix

package probes

import (
	"net"
	"syscall"
)

// nearby dials addresses of this host. Bridges come and go with other sandboxes: without a route by way of a gateway, what is no address of this
// host any more cannot be sent off it (SO_DONTROUTE, socket(7)).
func nearby() *net.Dialer {
	return &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		if err := c.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_DONTROUTE, 1) }); err != nil {
			return err
		}
		return set
	}}
}
