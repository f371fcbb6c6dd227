//go:build linux

package vnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	// flowICMP is the network of a flow that carries the payload of one ping each
	// way, framed as datagrams are.
	flowICMP = "icmp"
	// echoTimeout bounds the wait for the answer to a ping.
	echoTimeout = 5 * time.Second
	// echoHead is the length of an echo's header, in both families.
	echoHead = header.ICMPv4MinimumSize
)

// relayEcho carries a ping of a virtio-net guest's to where the policy lets it go,
// and the answer back; a denied one is lost in silence (smolvm v1.9.3 stack.rs).
func (n *Network) relayEcho(l *link, p packet) {
	if !n.allows(p.dst) {
		n.denied.ping(p.dst)
		if !n.audits() {
			return
		}
	}
	f := flow{network: flowICMP, src: netip.AddrPortFrom(p.src, 0), dst: netip.AddrPortFrom(p.dst, 0)}
	ask := append([]byte{}, p.payload...)
	n.errand(func() {
		if payload, err := n.dialer.echo(n.ctx, f, ask); err == nil {
			l.send(echoReply(f, ask, payload))
		}
	})
}

// echo sends one ping and returns the payload of the answer.
func (d *dialer) echo(ctx context.Context, f flow, ask []byte) ([]byte, error) {
	r, err := d.route(f.dst)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, echoTimeout)
	defer cancel()
	switch {
	case r.world:
		return d.echoWorld(ctx, f, ask[echoHead:])
	case r.bridge == "" && d.cfg.World != WorldOpen:
		return ask[echoHead:], nil // this host's own address, which answers
	}
	return echoBridge(ctx, r, ask)
}

func (d *dialer) echoWorld(ctx context.Context, f flow, payload []byte) ([]byte, error) {
	conn, err := d.dialWorld(ctx, f)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(payload); err != nil {
		return nil, err
	}
	buf := make([]byte, linkMTU)
	size, err := conn.Read(buf)
	return buf[:size], err
}

// echoBridge pings through a socket of the host's, which is there for all only
// where net.ipv4.ping_group_range says so.
func echoBridge(ctx context.Context, r route, ask []byte) ([]byte, error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if r.to.Addr().Is6() {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "ping")
	defer file.Close()
	if r.bridge != "" {
		if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, r.bridge); err != nil {
			return nil, err
		}
	}
	conn, err := net.FilePacketConn(file)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.WriteTo(ask, &net.UDPAddr{IP: r.to.Addr().AsSlice()}); err != nil {
		return nil, err
	}
	buf := make([]byte, linkMTU)
	size, _, err := conn.ReadFrom(buf)
	if err != nil || size < echoHead {
		return nil, os.ErrInvalid
	}
	return buf[echoHead:size], nil
}

// echoReply is the packet that answers the ping ask.
func echoReply(f flow, ask, payload []byte) []byte {
	src, dst := f.dst.Addr(), f.src.Addr()
	head, proto := header.IPv4MinimumSize, uint8(unix.IPPROTO_ICMP)
	if src.Is6() {
		head, proto = header.IPv6MinimumSize, unix.IPPROTO_ICMPV6
	}
	b := make([]byte, head+echoHead+len(payload))
	encodeIP(b, src, dst, proto)
	echo := b[head:]
	copy(echo[4:echoHead], ask[4:echoHead]) // identifier and sequence number
	copy(echo[echoHead:], payload)
	if src.Is4() {
		h := header.ICMPv4(echo)
		h.SetType(header.ICMPv4EchoReply)
		h.SetChecksum(^checksum.Checksum(h, 0))
		return b
	}
	h := header.ICMPv6(echo)
	h.SetType(header.ICMPv6EchoReply)
	h.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: h, Src: tcpipAddr(src), Dst: tcpipAddr(dst)}))
	return b
}
