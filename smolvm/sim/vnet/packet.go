//go:build linux

package vnet

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A packet is an IP packet of the guest's. It refers to its bytes, and is valid
// as long as they are.
type packet struct {
	raw      []byte
	src, dst netip.Addr
	proto    uint8  // of the payload; IPPROTO_FRAGMENT for one part of an IPv6 packet
	payload  []byte // what follows the IP header
	fragment bool   // payload is not, or not all of, a transport packet
	version  uint8
}

// parsePacket reads the IP header. A packet that is cut short is none.
func parsePacket(b []byte) (packet, bool) {
	if len(b) == 0 {
		return packet{}, false
	}
	switch b[0] >> 4 {
	case 4:
		h := header.IPv4(b)
		if len(b) < header.IPv4MinimumSize || !h.IsValid(len(b)) {
			return packet{}, false
		}
		return packet{
			raw: b, version: 4, proto: h.Protocol(), payload: b[h.HeaderLength():],
			src: netip.AddrFrom4([4]byte(b[12:16])), dst: netip.AddrFrom4([4]byte(b[16:20])),
			fragment: h.More() || h.FragmentOffset() != 0,
		}, true
	case 6:
		if len(b) < header.IPv6MinimumSize {
			return packet{}, false
		}
		return packet{
			raw: b, version: 6, proto: b[6], payload: b[header.IPv6MinimumSize:],
			src: netip.AddrFrom16([16]byte(b[8:24])), dst: netip.AddrFrom16([16]byte(b[24:40])),
			fragment: b[6] == unix.IPPROTO_FRAGMENT,
		}, true
	}
	return packet{}, false
}

func (p packet) network() tcpip.NetworkProtocolNumber {
	if p.version == 4 {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}

// opensTCP reports whether p asks for a connection.
func (p packet) opensTCP() bool {
	if p.proto != unix.IPPROTO_TCP || p.fragment || len(p.payload) < header.TCPMinimumSize {
		return false
	}
	flags := header.TCP(p.payload).Flags()
	return flags.Contains(header.TCPFlagSyn) && !flags.Contains(header.TCPFlagAck)
}

// asksEcho reports whether p is a ping.
func (p packet) asksEcho() bool {
	if p.fragment || len(p.payload) < header.ICMPv4MinimumSize {
		return false
	}
	switch p.proto {
	case unix.IPPROTO_ICMP:
		return p.version == 4 && header.ICMPv4(p.payload).Type() == header.ICMPv4Echo
	case unix.IPPROTO_ICMPV6:
		return p.version == 6 && header.ICMPv6(p.payload).Type() == header.ICMPv6EchoRequest
	}
	return false
}

// to is the address and port p is for; p carries TCP or UDP.
func (p packet) to() netip.AddrPort {
	return netip.AddrPortFrom(p.dst, binary.BigEndian.Uint16(p.payload[2:]))
}

// unreachable is the ICMP error that there is no route to p's destination.
func unreachable(p packet) []byte {
	if p.version == 4 {
		quoted := p.raw[:min(len(p.raw), len(p.raw)-len(p.payload)+8)]
		b := make([]byte, header.IPv4MinimumSize+header.ICMPv4MinimumSize+len(quoted))
		encodeIP(b, gatewayV4, p.src, unix.IPPROTO_ICMP)
		icmp := header.ICMPv4(b[header.IPv4MinimumSize:])
		icmp.SetType(header.ICMPv4DstUnreachable)
		icmp.SetCode(header.ICMPv4NetUnreachable)
		copy(icmp[header.ICMPv4MinimumSize:], quoted)
		icmp.SetChecksum(^checksum.Checksum(icmp, 0))
		return b
	}
	quoted := p.raw[:min(len(p.raw), 1000)]
	b := make([]byte, header.IPv6MinimumSize+header.ICMPv6DstUnreachableMinimumSize+len(quoted))
	encodeIP(b, gatewayV6, p.src, unix.IPPROTO_ICMPV6)
	icmp := header.ICMPv6(b[header.IPv6MinimumSize:])
	icmp.SetType(header.ICMPv6DstUnreachable)
	icmp.SetCode(header.ICMPv6NetworkUnreachable)
	copy(icmp[header.ICMPv6DstUnreachableMinimumSize:], quoted)
	icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header: icmp, Src: tcpipAddr(gatewayV6), Dst: tcpipAddr(p.src),
	}))
	return b
}

// datagram is a whole UDP packet, for the guest's lo, which fragments nothing.
func datagram(src, dst netip.AddrPort, payload []byte) []byte {
	head := header.IPv4MinimumSize
	if src.Addr().Is6() {
		head = header.IPv6MinimumSize
	}
	b := make([]byte, head+header.UDPMinimumSize+len(payload))
	encodeIP(b, src.Addr(), dst.Addr(), unix.IPPROTO_UDP)
	copy(b[head+header.UDPMinimumSize:], payload)
	encodeUDP(b[head:head+header.UDPMinimumSize], src, dst, payload)
	return b
}

// encodeIP writes the IP header of b, which is as long as the packet.
func encodeIP(b []byte, src, dst netip.Addr, proto uint8) {
	if src.Is4() {
		h := header.IPv4(b)
		h.Encode(&header.IPv4Fields{
			TotalLength: uint16(len(b)), TTL: 64, Protocol: proto, SrcAddr: tcpipAddr(src), DstAddr: tcpipAddr(dst),
		})
		h.SetChecksum(^h.CalculateChecksum())
		return
	}
	header.IPv6(b).Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(b) - header.IPv6MinimumSize), HopLimit: 64,
		TransportProtocol: tcpip.TransportProtocolNumber(proto), SrcAddr: tcpipAddr(src), DstAddr: tcpipAddr(dst),
	})
}

// encodeUDP writes the UDP header b of payload.
func encodeUDP(b []byte, src, dst netip.AddrPort, payload []byte) {
	h := header.UDP(b)
	size := uint16(header.UDPMinimumSize + len(payload))
	h.Encode(&header.UDPFields{SrcPort: src.Port(), DstPort: dst.Port(), Length: size})
	pseudo := header.PseudoHeaderChecksum(header.UDPProtocolNumber, tcpipAddr(src.Addr()), tcpipAddr(dst.Addr()), size)
	sum := ^h.CalculateChecksum(checksum.Checksum(payload, pseudo))
	if sum == 0 {
		sum = 0xffff // zero says that there is no checksum
	}
	h.SetChecksum(sum)
}

func tcpipAddr(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }
