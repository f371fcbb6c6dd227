//go:build linux

package vnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialTimeout bounds a dial of the host's.
const dialTimeout = 30 * time.Second

// dnsPort is never dialled on this host: its resolver would ask the internet.
const dnsPort = 53

// errNoRoute says that a destination is off this machine and nothing stands in
// for it.
var errNoRoute = errors.New("no route off this machine")

// A flow is one connection or exchange of datagrams, as the guest spells it.
type flow struct {
	network  string // tcp or udp
	src, dst netip.AddrPort
}

// A dialer makes the host's side of flows. Unless the world is open it never
// sends a packet off this machine. Safe for concurrent use.
type dialer struct {
	cfg   Config
	hosts interfaces
	// inspect is told of every address about to be dialled, and can refuse; nil
	// lets all of them through.
	inspect func(network string, to netip.AddrPort) error
}

// A route is where a flow is dialled.
type route struct {
	to     netip.AddrPort
	world  bool   // over the world's socket
	bridge string // the interface it must not leave, if any
}

// route says where a flow to dst leads, or errNoRoute.
func (d *dialer) route(dst netip.AddrPort) (route, error) {
	to := d.hostAddress(dst)
	if to.Addr().IsUnspecified() || to.Addr().IsMulticast() || to.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return route{}, errNoRoute
	}
	where, bridge := d.hosts.locate(to.Addr())
	switch {
	case where == onBridge, where == ownAddress && to.Port() != dnsPort:
		return route{to: to, bridge: bridge}, nil
	case d.cfg.World == WorldOpen:
		return route{to: to}, nil
	case d.cfg.World == WorldNone:
		return route{}, errNoRoute
	default:
		return route{to: dst, world: true}, nil
	}
}

// hostAddress is what the host calls the address that the guest spells a: the
// gateway stands for the host's loopback (smolvm v1.9.3 tcp_relay.rs).
func (d *dialer) hostAddress(a netip.AddrPort) netip.AddrPort {
	if d.cfg.Backend != VirtioNet || !d.cfg.HostGateway {
		return a
	}
	switch a.Addr() {
	case gatewayV4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	case gatewayV6:
		return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
	}
	return a
}

// dial makes the host's side of f.
func (d *dialer) dial(ctx context.Context, f flow) (net.Conn, error) {
	r, err := d.route(f.dst)
	if err != nil {
		return nil, fmt.Errorf("vnet: dial %s: %w", f.dst, err)
	}
	if r.world {
		return d.dialWorld(ctx, f)
	}
	if d.inspect != nil {
		if err := d.inspect(f.network, r.to); err != nil {
			return nil, fmt.Errorf("vnet: dial %s: %w", r.to, err)
		}
	}
	nd := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	if r.bridge != "" {
		nd.Control = bindTo(r.bridge)
	}
	return nd.DialContext(ctx, f.network, r.to.String())
}

// bindTo keeps a socket on one interface, so that a container network that goes
// away between look and dial does not send the flow down the default route.
// Kernels before 5.7 let root alone do so.
func bindTo(name string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name)
		})
		if errors.Is(err, unix.EPERM) {
			err = nil
		}
		return errors.Join(cerr, err)
	}
}
