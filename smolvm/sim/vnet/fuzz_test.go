//go:build linux

package vnet

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A guest can put anything on its interface. Whatever is taken for a packet can
// be looked at, and answered.
func FuzzParsePacket(f *testing.F) {
	f.Add(datagram(netip.MustParseAddrPort("100.96.0.2:1"), netip.MustParseAddrPort("127.0.0.1:53"), []byte("x")))
	f.Add(datagram(netip.MustParseAddrPort("[fd53:4d00::2]:1"), netip.MustParseAddrPort("[::1]:53"), []byte("x")))
	f.Add([]byte{0x45})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parsePacket(b)
		if !ok {
			return
		}
		p.asksEcho()
		if p.opensTCP() {
			p.to()
		}
		answer := unreachable(p)
		back, ok := parsePacket(answer)
		if !ok || back.dst != p.src {
			t.Errorf("the answer %x is no packet to %s", answer, p.src)
		}
	})
}

func FuzzParseSocket(f *testing.F) {
	f.Add(make([]byte, 72))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if s, ok := parseSocket(b); ok {
			s.serves()
		}
	})
}

// A datagram made by hand is one the stack believes.
func TestDatagramChecksums(t *testing.T) {
	for _, ends := range [][2]string{{"127.0.0.1:7", "127.0.0.1:9"}, {"[fd53:4d00::2]:7", "[::1]:9"}} {
		src, dst := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		b := datagram(src, dst, []byte("payload"))
		p, ok := parsePacket(b)
		if !ok || p.src != src.Addr() || p.to() != dst {
			t.Fatalf("%x is not from %s to %s", b, src, dst)
		}
		u := header.UDP(p.payload)
		sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, tcpipAddr(p.src), tcpipAddr(p.dst), u.Length())
		for i := 0; i < len(p.payload); i += 2 {
			word := uint32(p.payload[i]) << 8
			if i+1 < len(p.payload) {
				word |= uint32(p.payload[i+1])
			}
			folded := uint32(sum) + word
			sum = uint16(folded&0xffff + folded>>16)
		}
		if sum != 0xffff {
			t.Errorf("%s: checksum is off: %#x", src, sum)
		}
		if src.Addr().Is4() && !header.IPv4(b).IsChecksumValid() {
			t.Errorf("%s: IP checksum is off", src)
		}
	}
}
