//go:build linux

package vnet

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// maxFlows is how many TCP flows a guest can have at a time, the size of
// smolvm's relay table (smolvm v1.9.3 tcp_relay.rs). The next one is reset.
const maxFlows = 256

// flowOf is the flow of a packet of the guest's, which the stack believes to
// be its own: its local end is the destination.
func flowOf(network string, id stack.TransportEndpointID) flow {
	return flow{network, addrPort(id.RemoteAddress, id.RemotePort), addrPort(id.LocalAddress, id.LocalPort)}
}

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return netip.AddrPortFrom(addr, port)
}

// handleTCP decides about one SYN, in a goroutine of its own.
func (n *Network) handleTCP(r *tcp.ForwarderRequest) {
	f := flowOf("tcp", r.ID())
	if n.cfg.takesNameTCP(f.dst) {
		if guest := n.complete(r); guest != nil {
			n.serveNamesTCP(guest, f)
		}
		return
	}
	if !n.passes(f.dst) {
		n.denied.connect(f.dst)
		if !n.audits() {
			r.Complete(true)
			return
		}
	}
	select {
	case n.slots <- struct{}{}:
		defer func() { <-n.slots }()
	default:
		n.denied.logf("more than %d flows: reset connect to %s", maxFlows, f.dst)
		r.Complete(true)
		return
	}
	if n.cfg.Backend == TSI {
		n.dialThenAccept(r, f)
	} else {
		n.acceptThenDial(r, f)
	}
}

// dialThenAccept is TSI: connect() in the guest ends when the host's has, and
// whatever went wrong asynchronously is ECONNREFUSED (libkrun tsi_stream.rs).
func (n *Network) dialThenAccept(r *tcp.ForwarderRequest, f flow) {
	host, err := n.dialer.dial(n.ctx, f)
	if err != nil {
		r.Complete(true)
		return
	}
	guest := n.complete(r)
	if guest == nil {
		host.Close()
		return
	}
	n.relay(guest, host)
}

// acceptThenDial is virtio-net: smoltcp completes the handshake before the host
// dials (smolvm v1.9.3 tcp_relay.rs), so connect() == 0 says nothing.
func (n *Network) acceptThenDial(r *tcp.ForwarderRequest, f flow) {
	guest := n.complete(r)
	if guest == nil {
		return
	}
	host, err := n.dialer.dial(n.ctx, f)
	switch {
	case err == nil:
		n.relay(guest, n.watched(host, f))
	case n.cfg.FailFast:
		guest.reset()
	default:
		defer n.hold(guest)()
		_, _ = io.Copy(io.Discard, guest)
		guest.Close()
	}
}

// A guestConn is the guest's side of a TCP flow.
type guestConn struct {
	*gonet.TCPConn
	ep tcpip.Endpoint
}

// reset ends the connection with a RST.
func (c *guestConn) reset() { c.ep.Abort() }

// complete answers the guest's SYN; nil if the guest has given up.
func (n *Network) complete(r *tcp.ForwarderRequest) *guestConn {
	queue := new(waiter.Queue)
	ep, err := r.CreateEndpoint(queue)
	if err != nil {
		r.Complete(true)
		return nil
	}
	r.Complete(false)
	ep.SocketOptions().SetDelayOption(false)
	return &guestConn{gonet.NewTCPConn(queue, ep), ep}
}

// guestTimeout bounds the handshake with a listener of the guest's.
const guestTimeout = 10 * time.Second

// dialGuest connects to a port of the guest's.
func (n *Network) dialGuest(to netip.AddrPort) (*guestConn, error) {
	network := header.IPv4ProtocolNumber
	if to.Addr().Is6() {
		network = header.IPv6ProtocolNumber
	}
	queue := new(waiter.Queue)
	ep, err := n.stack.NewEndpoint(tcp.ProtocolNumber, network, queue)
	if err != nil {
		return nil, fmt.Errorf("vnet: dial the guest's %s: %s", to, err)
	}
	entry, done := waiter.NewChannelEntry(waiter.WritableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	if err := n.connect(ep, to, done); err != nil {
		ep.Abort()
		return nil, fmt.Errorf("vnet: dial the guest's %s: %s", to, err)
	}
	ep.SocketOptions().SetDelayOption(false)
	return &guestConn{gonet.NewTCPConn(queue, ep), ep}, nil
}

// connect makes the handshake from the gateway's address; done says that it is over.
func (n *Network) connect(ep tcpip.Endpoint, to netip.AddrPort, done <-chan struct{}) tcpip.Error {
	from := tcpipAddr(hostOf(to.Addr()).Addr())
	if err := ep.Bind(tcpip.FullAddress{NIC: nicID, Addr: from}); err != nil {
		return err
	}
	err := ep.Connect(tcpip.FullAddress{NIC: nicID, Addr: tcpipAddr(to.Addr()), Port: to.Port()})
	if _, started := err.(*tcpip.ErrConnectStarted); !started {
		return err
	}
	bound := time.NewTimer(guestTimeout)
	defer bound.Stop()
	select {
	case <-done:
		return ep.LastError()
	case <-bound.C:
	case <-n.ctx.Done():
	}
	return &tcpip.ErrTimeout{}
}

// relay carries a flow until both sides are done, or either breaks.
func (n *Network) relay(guest *guestConn, host net.Conn) {
	defer n.hold(guest)()
	defer n.hold(host)()
	var (
		both   sync.WaitGroup
		broken sync.Once
	)
	end := func(err error) {
		if err != nil {
			broken.Do(func() { breakOff(guest, host) })
		}
	}
	both.Go(func() { end(pour(host, guest)) })
	both.Go(func() { end(pour(guest, host)) })
	both.Wait()
	guest.Close()
	host.Close()
}

// breakOff resets both sides.
func breakOff(guest *guestConn, host net.Conn) {
	guest.reset()
	abort(host)
}

// abort closes the host's side with a RST, where that is TCP.
func abort(host net.Conn) {
	if t, ok := host.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	host.Close()
}

var pourBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// pour copies until from ends, then ends to's sending side.
func pour(to io.Writer, from io.Reader) error {
	buf := pourBuffers.Get().(*[64 << 10]byte)
	defer pourBuffers.Put(buf)
	// The wrappers hide ReadFrom and WriteTo, which would bring buffers of their own.
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buf[:])
	if err != nil {
		return err
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	return nil
}
