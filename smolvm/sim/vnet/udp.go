//go:build linux

package vnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// maxExchanges is how many exchanges of datagrams a guest can have at a
	// time. The one that was idle longest makes room for the next.
	maxExchanges = 128
	// exchangeIdle ends an exchange without traffic.
	exchangeIdle = 30 * time.Second
	// exchangeQueue is how many datagrams wait for the host to be dialled.
	exchangeQueue = 64
	// maxDatagram is the largest payload of UDP.
	maxDatagram = 65507
)

// datagrams relays the guest's UDP. Every pair of ends is an exchange with a
// socket of its own, connected to the destination, so an answer can only come
// from there. Safe for concurrent use.
type datagrams struct {
	n  *Network
	mu sync.Mutex
	// live are the exchanges that take datagrams.
	live map[flow]*exchange
}

// An exchange is the datagrams between one pair of ends.
type exchange struct {
	flow  flow
	queue chan []byte
	done  chan struct{}
	used  time.Time // guarded by datagrams.mu
}

func (d *datagrams) init(n *Network) {
	d.n, d.live = n, make(map[flow]*exchange)
}

// handle takes one datagram from the stack. It always reports true: what is not
// relayed vanishes in silence, on both backends (libkrun muxer.rs, smolvm stack.rs).
func (d *datagrams) handle(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	f := flowOf("udp", id)
	payload := pkt.Data().AsRange().ToSlice()
	if d.n.cfg.takesName(f.dst) {
		d.n.serveName(f, payload)
		return true
	}
	if x := d.find(f); x != nil {
		x.push(payload)
		return true
	}
	if d.inside(f, payload) {
		return true
	}
	if !d.allows(f.dst) {
		d.n.denied.sendto(f.dst)
		if !d.n.audits() {
			return true
		}
	}
	if x := d.begin(f); x != nil {
		x.push(payload)
	}
	return true
}

func (d *datagrams) allows(to netip.AddrPort) bool {
	return d.n.passes(to) || d.n.cfg.OpenUDP && !d.n.cfg.floored(to.Addr())
}

// inside returns a datagram to a tsi guest whose own socket it is for.
func (d *datagrams) inside(f flow, payload []byte) bool {
	if d.n.served == nil || !loopbackOf(f.dst.Addr()).Contains(f.dst.Addr()) || !d.n.served.claim(unix.IPPROTO_UDP, f.dst) {
		return false
	}
	d.n.link.turnBack(datagram(f.src, f.dst, payload))
	return true
}

func (d *datagrams) find(f flow) *exchange {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.live[f]
	if x != nil {
		x.used = time.Now()
	}
	return x
}

// begin starts an exchange; nil if the network is closed or leads nowhere.
func (d *datagrams) begin(f flow) *exchange {
	if _, err := d.n.dialer.route(f.dst); err != nil || d.n.ctx.Err() != nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.live) >= maxExchanges {
		d.evict()
	}
	x := &exchange{flow: f, queue: make(chan []byte, exchangeQueue), done: make(chan struct{}), used: time.Now()}
	d.live[f] = x
	d.n.work.Go(func() { d.run(x) })
	return x
}

// evict ends the exchange that was idle longest.
func (d *datagrams) evict() {
	var oldest *exchange
	for _, x := range d.live {
		if oldest == nil || x.used.Before(oldest.used) {
			oldest = x
		}
	}
	d.end(oldest)
}

// end takes x out; d.mu is held.
func (d *datagrams) end(x *exchange) {
	if d.live[x.flow] == x {
		delete(d.live, x.flow)
		close(x.done)
	}
}

// idle reports how long nothing has gone through x.
func (d *datagrams) idle(x *exchange) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Since(x.used)
}

// push queues a datagram, or loses it if the host is slow.
func (x *exchange) push(payload []byte) {
	select {
	case x.queue <- payload:
	default:
	}
}

// run dials the host and carries x's datagrams until it is idle or ended.
func (d *datagrams) run(x *exchange) {
	finish := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.end(x)
	}
	defer finish()
	host, err := d.n.dialer.dial(d.n.ctx, x.flow)
	if err != nil {
		return
	}
	defer d.n.hold(host)()
	defer host.Close()
	d.n.work.Go(func() {
		defer finish()
		d.answer(x, host)
	})
	for {
		select {
		case <-x.done:
			return
		case payload := <-x.queue:
			// A refused datagram is an error of the next call, and no end.
			if _, err := host.Write(payload); err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EMSGSIZE) {
				return
			}
		}
	}
}

// answer carries what the host says to the guest.
func (d *datagrams) answer(x *exchange, host net.Conn) {
	buf := make([]byte, maxDatagram)
	for {
		_ = host.SetReadDeadline(time.Now().Add(exchangeIdle))
		size, err := host.Read(buf)
		switch {
		case err == nil:
			d.find(x.flow) // it is in use
			d.reply(x.flow, buf[:size])
		case errors.Is(err, unix.ECONNREFUSED):
		case errors.Is(err, os.ErrDeadlineExceeded) && d.idle(x) < exchangeIdle:
		default:
			return
		}
	}
}

// reply sends one datagram to the guest, from the address it spelled.
func (d *datagrams) reply(f flow, payload []byte) {
	network := header.IPv4ProtocolNumber
	if f.dst.Addr().Is6() {
		network = header.IPv6ProtocolNumber
	}
	r, err := d.n.stack.FindRoute(nicID, tcpipAddr(f.dst.Addr()), tcpipAddr(f.src.Addr()), network, false)
	if err != nil {
		return
	}
	defer r.Release()
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: header.UDPMinimumSize + int(r.MaxHeaderLength()),
		Payload:            buffer.MakeWithData(payload),
	})
	defer pkt.DecRef()
	encodeUDP(pkt.TransportHeader().Push(header.UDPMinimumSize), f.dst, f.src, payload)
	pkt.TransportProtocolNumber = header.UDPProtocolNumber
	_ = r.WritePacket(stack.NetworkHeaderParams{Protocol: tcpip.TransportProtocolNumber(unix.IPPROTO_UDP), TTL: 64}, pkt)
}
