package boundary

import (
	"fmt"
	"slices"
)

// maxRounds bounds how often Shrink asks. A case of 32 bits that all matter needs as many; one that a mask or a range explains needs few.
const maxRounds = 8

// Simplest is the simplest of cases, which may not be empty.
func Simplest(cases []Case) Case { return slices.MinFunc(cases, Case.compare) }

// Shrink brings a case that m mispredicts down to a simplest one that m still mispredicts: each round it asks still about all
// cases that are simpler by one step and of which m predicts the same, and goes on with the simplest for which the answer is true.
// still answers one bool per case; a shorter answer is false for the rest. It stops after a few rounds, or when nothing simpler is left.
func Shrink(m Model, c Case, still func([]Case) []bool) Case {
	want := m.Predict(c.Flow)
	for range maxRounds {
		simpler := slices.DeleteFunc(c.simpler(), func(s Case) bool { return m.Predict(s.Flow) != want })
		if len(simpler) == 0 {
			return c
		}
		var left []Case
		for i, wrong := range still(simpler) {
			if wrong && i < len(simpler) {
				left = append(left, simpler[i])
			}
		}
		if len(left) == 0 {
			return c
		}
		c = Simplest(left)
	}
	return c
}

// simpler are the cases that lack one difference of c's, that have one changed bit less or one only, or that are next to the entry,
// from the simplest.
func (c Case) simpler() []Case {
	var all []Case
	add := func(change func(*Case)) {
		s := c
		change(&s)
		if s.compare(c) < 0 {
			all = append(all, s)
		}
	}
	add(func(s *Case) { s.Network = TCP })
	add(func(s *Case) { s.Port = 0 })
	add(func(s *Case) { s.Addr = c.plain() })
	if c.plain() == c.Addr {
		for _, n := range append(c.unflipped(), ends(c.Entry)...) {
			if n.addr.IsValid() {
				add(func(s *Case) { s.Addr, s.How = n.addr, n.how })
			}
		}
	}
	slices.SortFunc(all, Case.compare)
	return slices.CompactFunc(all, func(a, b Case) bool { return a.Flow == b.Flow })
}

// unflipped are the addresses with one changed bit put back, and those with one changed bit only.
func (c Case) unflipped() []neighbour {
	changed := distance(c).AsSlice()
	var all []neighbour
	for bit := range 8 * len(changed) {
		mask := byte(0x80) >> (bit % 8)
		if changed[bit/8]&mask == 0 {
			continue
		}
		back, only := c.Addr.AsSlice(), c.Entry.Addr().AsSlice()
		back[bit/8] ^= mask
		only[bit/8] ^= mask
		all = append(all, neighbour{fromSlice(back), "fewer bits changed"}, neighbour{fromSlice(only), fmt.Sprintf("bit %d changed", bit)})
	}
	return all
}
