package boundary

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

var (
	mapped = netip.MustParsePrefix("::ffff:0:0/96")
	compat = netip.MustParsePrefix("::/96")
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// A spelling writes an IPv4 address as another one.
type spelling struct {
	how    string
	prefix netip.Prefix
}

var spellings = []spelling{{"IPv4-mapped", mapped}, {"IPv4-compatible", compat}, {"NAT64", nat64}, {"6to4", sixTo4}}

// offset is where in the address the four bytes stand.
func (s spelling) offset() int { return s.prefix.Bits() / 8 }

// spell is ip, an IPv4 address, in s.
func (s spelling) spell(ip netip.Addr) netip.Addr {
	b, four := s.prefix.Addr().As16(), ip.As4()
	copy(b[s.offset():], four[:])
	if s.prefix == sixTo4 {
		b[15] = 1
	}
	return netip.AddrFrom16(b)
}

// inside is the IPv4 address that ip is a spelling of, and whether it is one. An IPv4 address is itself, and no spelling.
func inside(ip netip.Addr) (netip.Addr, bool) {
	if ip.Is4() {
		return ip, false
	}
	for _, s := range spellings {
		if !s.prefix.Contains(ip) {
			continue
		}
		b := ip.As16()
		four := netip.AddrFrom4([4]byte(b[s.offset() : s.offset()+4]))
		if s.spell(four) == ip {
			return four, true
		}
	}
	return ip, false
}

// ParseLoose reads an IPv4 address as inet_aton does, and with it most of what runs in a guest: of one to four numbers in decimal,
// octal behind 0 and hex behind 0x, the last filling what is left. It reports false for anything else.
func ParseLoose(text string) (netip.Addr, bool) {
	parts := strings.Split(text, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var all uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 0, 32)
		if err != nil || strings.ContainsAny(part, "_oObB") && !strings.HasPrefix(strings.ToLower(part), "0x") || strings.Contains(part, "_") {
			return netip.Addr{}, false
		}
		room := uint64(math.MaxUint8)
		if i == len(parts)-1 {
			room = 1<<(8*(5-len(parts))) - 1
			all = all<<(8*(5-len(parts))) | n
		} else {
			all = all<<8 | n
		}
		if n > room {
			return netip.Addr{}, false
		}
	}
	return fromUint32(uint32(all)), true
}

func fromUint32(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// texts are ways to write ip, an IPv4 address, down: those that mean it, in octal, hex, decimal and short, and those with a zero put
// before a number, which a strict parser refuses or takes for decimal and a loose one for octal.
func texts(ip netip.Addr) []string {
	b := ip.As4()
	n := binary.BigEndian.Uint32(b[:])
	all := []string{
		fmt.Sprintf("0%o.0%o.0%o.0%o", b[0], b[1], b[2], b[3]), fmt.Sprintf("0x%x", n), strconv.FormatUint(uint64(n), 10),
		fmt.Sprintf("%d.%d.%d", b[0], b[1], n&math.MaxUint16), fmt.Sprintf("%d.%d", b[0], n&(1<<24-1)),
	}
	for i := range b {
		parts := strings.Split(ip.String(), ".")
		parts[i] = "0" + parts[i]
		all = append(all, strings.Join(parts, "."))
	}
	return all
}
