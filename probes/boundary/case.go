package boundary

import (
	"cmp"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
)

// A Case is a flow near an entry of an allowlist. Port 0 is whatever port a listener has there.
type Case struct {
	Flow
	Entry netip.Prefix // what it is a neighbour of
	How   string       // how it was derived, in words
}

// String is the flow, and how it differs from the entry.
func (c Case) String() string {
	at := c.Addr.String()
	if c.Port != 0 {
		at = netip.AddrPortFrom(c.Addr, c.Port).String()
	}
	return fmt.Sprintf("%s %s: %s, near %s", c.Network, at, strings.Join(append([]string{c.How}, c.differences()...), ", "), c.Entry)
}

// differences are those from a plain TCP connect to a neighbour, in words.
func (c Case) differences() []string {
	var all []string
	if c.Network != TCP {
		all = append(all, "by "+string(c.Network))
	}
	if c.Port != 0 {
		all = append(all, fmt.Sprintf("at port %d", c.Port))
	}
	if plain, spelled := inside(c.Addr); spelled && c.Entry.Addr().Is4() {
		all = append(all, "spelled for "+plain.String())
	}
	return all
}

// plain is the address that c's spelling stands for, in the family of the entry.
func (c Case) plain() netip.Addr {
	if plain, spelled := inside(c.Addr); spelled && c.Entry.Addr().Is4() {
		return plain
	}
	return c.Addr
}

// compare orders cases from the simplest: fewer differences, fewer bits changed, and of those the ones further back.
func (c Case) compare(d Case) int {
	return cmp.Or(
		cmp.Compare(len(c.differences()), len(d.differences())),
		cmp.Compare(c.flipped(), d.flipped()),
		distance(c).Compare(distance(d)),
		c.Addr.Compare(d.Addr), cmp.Compare(c.Port, d.Port), cmp.Compare(c.Network, d.Network),
	)
}

// flipped is how many bits of the plain address are not those of the entry's first.
func (c Case) flipped() int {
	n := 0
	for _, b := range distance(c).AsSlice() {
		n += bits.OnesCount8(b)
	}
	return n
}

// distance is which bits are not those of the entry's first address, as an address. Where the families differ all of them are.
func distance(c Case) netip.Addr {
	a, b := c.plain().AsSlice(), c.Entry.Addr().AsSlice()
	for i := range a {
		if len(a) == len(b) {
			a[i] ^= b[i]
		} else {
			a[i] = 0xff
		}
	}
	d, _ := netip.AddrFromSlice(a) // as long as an address
	return d
}
