//go:build linux

package vnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A link is the stack's interface: the host's end of the guest's TUN device. It
// is written here and not taken from fdbased because packets are looked at
// before the stack sees them, and because some leave by the guest's lo.
type link struct {
	tun *os.File
	raw syscall.RawConn
	lo  *os.File // a packet socket on the guest's lo; nil on virtio-net
	// accept sees every packet first and reports whether the stack gets it.
	accept func(l *link, p packet) bool

	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher
	done       sync.WaitGroup
}

// openLink takes the TUN device, and lo if there is one, over.
func openLink(tun, lo *os.File, accept func(*link, packet) bool) (*link, error) {
	l := &link{accept: accept}
	var err error
	if l.tun, err = pollable(tun); err != nil {
		return nil, err
	}
	if l.raw, err = l.tun.SyscallConn(); err != nil {
		l.Close()
		return nil, fmt.Errorf("vnet: %s: %w", tun.Name(), err)
	}
	if lo != nil {
		if l.lo, err = pollable(lo); err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// pollable returns a duplicate of f that waits in the runtime's poller.
func pollable(f *os.File) (*os.File, error) {
	fd, err := dupFile(f)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("vnet: %s: %w", f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// run reads the guest's packets until the link is closed or the guest is gone.
func (l *link) run() {
	buf := make([]byte, 1<<16)
	for {
		n, err := l.tun.Read(buf)
		if err != nil {
			return
		}
		if p, ok := parsePacket(buf[:n]); ok && l.accept(l, p) {
			l.deliver(p)
		}
	}
}

// deliver gives a copy of p to the stack.
func (l *link) deliver(p packet) {
	l.mu.RLock()
	d := l.dispatcher
	l.mu.RUnlock()
	if d == nil {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p.raw)})
	d.DeliverNetworkPacket(p.network(), pkt)
	pkt.DecRef()
}

// send gives one packet to the guest, by the TUN or by its lo. What the guest's
// kernel has no room for is lost, as on any wire.
func (l *link) send(slices ...[]byte) {
	if l.lo != nil && ofLoopbackV6(slices[0]) {
		var whole []byte
		for _, s := range slices {
			whole = append(whole, s...)
		}
		l.inject(whole)
		return
	}
	_ = l.raw.Write(func(fd uintptr) bool {
		_ = ignoringEINTR(func() error {
			_, err := unix.Writev(int(fd), slices)
			return err
		})
		return true
	})
}

// ofLoopbackV6 reports whether a packet comes from ::1 or is for it. Linux takes
// such a one off no interface but lo (ip6_rcv_core).
func ofLoopbackV6(b []byte) bool {
	return len(b) >= header.IPv6MinimumSize && b[0]>>4 == 6 &&
		(netip.AddrFrom16([16]byte(b[8:24])) == netip.IPv6Loopback() || netip.AddrFrom16([16]byte(b[24:40])) == netip.IPv6Loopback())
}

// turnBack gives the guest a packet of its own back, now that its rules keep
// the rest of the flow inside: an IPv4 one by the TUN, which takes 127.0.0.0/8
// as lo does not, an IPv6 one by lo.
func (l *link) turnBack(b []byte) {
	if b[0]>>4 == 6 {
		l.inject(b)
		return
	}
	l.send(b)
}

// loIndex is the index of lo in every network namespace.
const loIndex = 1

// inject gives one IPv6 packet to the guest through its lo.
func (l *link) inject(b []byte) {
	const kind = unix.ETH_P_IPV6
	to := &unix.SockaddrLinklayer{Protocol: kind<<8&0xff00 | kind>>8, Ifindex: loIndex}
	raw, err := l.lo.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Write(func(fd uintptr) bool {
		_ = ignoringEINTR(func() error { return unix.Sendto(int(fd), b, 0, to) })
		return true
	})
}

// WritePackets implements stack.LinkWriter.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	n := 0
	for _, pkt := range pkts.AsSlice() {
		l.send(pkt.AsSlices()...)
		n++
	}
	return n, nil
}

// Attach implements stack.NetworkLinkEndpoint.
func (l *link) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	first := l.dispatcher == nil && d != nil
	l.dispatcher = d
	l.mu.Unlock()
	if first {
		l.done.Go(l.run)
	}
}

// IsAttached implements stack.NetworkLinkEndpoint.
func (l *link) IsAttached() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher != nil
}

// Close implements stack.NetworkLinkEndpoint. It may be called twice.
func (l *link) Close() {
	for _, f := range []*os.File{l.tun, l.lo} {
		if f == nil {
			continue
		}
		if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			return
		}
	}
}

// Wait implements stack.NetworkLinkEndpoint.
func (l *link) Wait() { l.done.Wait() }

// Capabilities implements stack.NetworkLinkEndpoint. The guest's kernel has
// just made the packets, so their checksums are not checked.
func (*link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

// MTU implements stack.NetworkLinkEndpoint.
func (*link) MTU() uint32 { return linkMTU }

// SetMTU implements stack.NetworkLinkEndpoint; the MTU is fixed.
func (*link) SetMTU(uint32) {}

// MaxHeaderLength implements stack.NetworkLinkEndpoint.
func (*link) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements stack.NetworkLinkEndpoint.
func (*link) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements stack.NetworkLinkEndpoint.
func (*link) SetLinkAddress(tcpip.LinkAddress) {}

// ARPHardwareType implements stack.NetworkLinkEndpoint.
func (*link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements stack.NetworkLinkEndpoint.
func (*link) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements stack.NetworkLinkEndpoint.
func (*link) ParseHeader(*stack.PacketBuffer) bool { return true }

// SetOnCloseAction implements stack.NetworkLinkEndpoint.
func (*link) SetOnCloseAction(func()) {}
