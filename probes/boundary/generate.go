package boundary

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// Most bounds the cases that Generate returns.
const Most = 1024

// The ports that are drawn are below those that kernels give out by themselves: at one of these a guest may have a listener of its own.
const firstDrawn, lastDrawn = 1024, 19999

// randoms is how many addresses are drawn at random beside each entry.
const randoms = 12

// Generate derives cases from every entry of m, and from what m lets through unasked: those that m predicts something of, each once.
// The plainest come first, those of different entries by turns. port is one that the policy's user has a use for. The same seed gives the same cases.
func Generate(m Model, port uint16, seed uint64) []Case {
	g := &generator{model: m, port: port, rand: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // a seed repeats it
	var lists [][]Case
	for _, entry := range slices.Concat(m.Allow, m.Unasked) {
		lists = append(lists, g.around(entry.Masked()))
	}
	seen := make(map[Flow]bool)
	var all []Case
	for _, c := range byTurns(lists) {
		if !seen[c.Flow] && m.Predict(c.Flow) != Unspecified && len(all) < Most {
			seen[c.Flow] = true
			all = append(all, c)
		}
	}
	return all
}

// byTurns takes one of each list after the other.
func byTurns(lists [][]Case) []Case {
	var all []Case
	for i := 0; ; i++ {
		n := len(all)
		for _, l := range lists {
			if i < len(l) {
				all = append(all, l[i])
			}
		}
		if len(all) == n {
			return all
		}
	}
}

type generator struct {
	model Model
	port  uint16
	rand  *rand.Rand
}

// A neighbour is an address near an entry.
type neighbour struct {
	addr netip.Addr
	how  string
}

// around are the cases of one entry: its ends first, then a few of each kind by turns, twice as many of the single bits.
func (g *generator) around(entry netip.Prefix) []Case {
	var spelled []Case
	for _, n := range slices.Concat([]neighbour{{entry.Addr(), "the first"}}, ends(entry)) {
		spelled = append(spelled, spelledCases(entry, n)...)
	}
	bits := flips(entry)
	half := len(bits) / 2
	return slices.Concat(plainCases(entry, ends(entry)), byTurns([][]Case{
		plainCases(entry, bits[:half]), plainCases(entry, bits[half:]), plainCases(entry, g.drawn(entry)),
		plainCases(entry, misreadings(entry)), g.ported(entry), spelled,
	}))
}

// plainCases are neighbours by all networks, at whatever port.
func plainCases(entry netip.Prefix, near []neighbour) []Case {
	var all []Case
	for _, n := range near {
		if !n.addr.IsValid() {
			continue // nothing is before the first address of all
		}
		for _, network := range []Network{TCP, UDP, ICMP} {
			all = append(all, Case{Flow{network, n.addr, 0}, entry, n.how})
		}
	}
	return all
}

func spelledCases(entry netip.Prefix, n neighbour) []Case {
	if !n.addr.Is4() {
		return nil
	}
	var all []Case
	for _, s := range spellings {
		all = append(all, Case{Flow{TCP, s.spell(n.addr), 0}, entry, n.how + " in " + s.how + " form"})
	}
	return all
}

// ported are the ends of the entry, and those next to them, at ports that policies and gateways have a mind of their own about.
func (g *generator) ported(entry netip.Prefix) []Case {
	ports := []uint16{g.port, g.port - 1, g.port + 1, dnsPort, 443, uint16(firstDrawn + g.rand.IntN(lastDrawn-firstDrawn+1))} //nolint:gosec // in range
	var all []Case
	for _, n := range ends(entry)[:4] {
		for _, port := range ports {
			if port == 0 || !n.addr.IsValid() {
				continue
			}
			for _, network := range []Network{TCP, UDP} {
				all = append(all, Case{Flow{network, n.addr, port}, entry, n.how})
			}
		}
	}
	return all
}

// ends are the entry's first and last address and those next to them, and the first and last of the net around it.
func ends(entry netip.Prefix) []neighbour {
	first, last := entry.Addr(), lastOf(entry)
	net := netip.PrefixFrom(first, max(0, first.BitLen()-8)).Masked()
	return []neighbour{
		{first.Prev(), "the address before"}, {last.Next(), "the address behind"}, {first, "the first"}, {last, "the last"},
		{net.Addr(), "the first of the net"}, {lastOf(net), "the last of the net"},
	}
}

// lastOf is the last address of p.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b) // as long as an address
	return a
}

// flips are the entry's first address with one bit changed, each of those that the prefix has in turn, and with one byte one more or
// less: the same low bits in the nets beside.
func flips(entry netip.Prefix) []neighbour {
	var all []neighbour
	for _, bit := range bitsOf(entry) {
		b := entry.Addr().AsSlice()
		b[bit/8] ^= 0x80 >> (bit % 8)
		all = append(all, neighbour{fromSlice(b), fmt.Sprintf("bit %d changed", bit)})
	}
	for i := entry.Addr().BitLen()/8 - 2; i >= 0 && len(all) < 2*entry.Bits(); i-- {
		for _, step := range []byte{1, 0xff} {
			b := entry.Addr().AsSlice()
			b[i] += step
			all = append(all, neighbour{fromSlice(b), fmt.Sprintf("byte %d moved by one", i)})
		}
	}
	reversed := entry.Addr().AsSlice()
	slices.Reverse(reversed)
	return append(all, neighbour{fromSlice(reversed), "the bytes in reverse"})
}

// bitsOf are the bits that entry compares, counted from the front: the last of each byte, then those before them, and so on.
func bitsOf(entry netip.Prefix) []int {
	var all []int
	for place := 7; place >= 0; place-- {
		for bit := entry.Addr().BitLen() - 8 + place; bit >= 0; bit -= 8 {
			if bit < entry.Bits() {
				all = append(all, bit)
			}
		}
	}
	return all
}

func fromSlice(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b) // as long as an address
	return a
}

// drawn are addresses at random: within the nets around the entry, one byte wider each, and anywhere.
func (g *generator) drawn(entry netip.Prefix) []neighbour {
	var all []neighbour
	size := entry.Addr().BitLen()
	for i := range randoms {
		bits := max(0, size-8*(1+i%(size/8)))
		b := entry.Addr().AsSlice()
		var noise [16]byte
		binary.BigEndian.PutUint64(noise[:], g.rand.Uint64())
		binary.BigEndian.PutUint64(noise[8:], g.rand.Uint64())
		for j := bits / 8; j < len(b); j++ {
			b[j] = noise[j]
		}
		all = append(all, neighbour{fromSlice(b), fmt.Sprintf("drawn from the /%d around", bits)})
	}
	return all
}

// misreadings are what an entry's first address becomes for a guest that reads its text in another way than who wrote the policy.
func misreadings(entry netip.Prefix) []neighbour {
	if !entry.Addr().Is4() {
		return nil
	}
	var all []neighbour
	for _, text := range texts(entry.Addr()) {
		if at, ok := ParseLoose(text); ok {
			all = append(all, neighbour{at, fmt.Sprintf("%q as inet_aton reads it", text)})
		}
	}
	return all
}
