package boundary

import (
	"net/netip"
	"testing"
)

// An enforcer is one that is wrong in some way: what it lets through.
type enforcer func(Flow) bool

func covers(text string) enforcer {
	p := netip.MustParsePrefix(text)
	return func(f Flow) bool { return p.Contains(f.Addr.Unmap()) }
}

func TestShrink(t *testing.T) {
	entry := netip.MustParsePrefix("172.30.2.10/32")
	for _, c := range []struct {
		name    string
		through enforcer
		from    Flow
		want    Flow
	}{
		{"a /31", covers("172.30.2.10/31"), tcp("172.30.2.11", 443), tcp("172.30.2.11", 0)},
		{"a /24", covers("172.30.2.0/24"), Flow{UDP, netip.MustParseAddr("172.30.2.200"), 53}, tcp("172.30.2.11", 0)},
		{"a /8", covers("172.0.0.0/8"), tcp("172.201.77.3", 0), tcp("172.30.2.11", 0)},
		{"one stranger", covers("8.8.8.8/32"), tcp("8.8.8.8", 443), tcp("8.8.8.8", 0)},
		{"a bit that is not compared", func(f Flow) bool { return f.Addr == netip.MustParseAddr("172.30.3.10") }, tcp("172.30.3.10", 8081), tcp("172.30.3.10", 0)},
		{"datagrams only", func(f Flow) bool { return f.Network == UDP }, Flow{UDP, netip.MustParseAddr("9.8.7.6"), 443}, Flow{UDP, netip.MustParseAddr("172.30.2.11"), 0}},
		{"a port only", func(f Flow) bool { return f.Port == 53 }, Flow{UDP, netip.MustParseAddr("9.8.7.6"), 53}, tcp("172.30.2.11", 53)},
		{"IPv6 only", func(f Flow) bool { return f.Addr.Is6() }, tcp("64:ff9b::9.8.7.6", 443), tcp("64:ff9b::9.8.7.6", 0)},
		{"a spelling of what leaks anyway", func(Flow) bool { return true }, tcp("64:ff9b::9.8.7.6", 443), tcp("172.30.2.11", 0)},
		{"something that happened once", func(Flow) bool { return false }, tcp("9.8.7.6", 443), tcp("9.8.7.6", 443)},
	} {
		asked := 0
		got := Shrink(models["0.8.0"], Case{c.from, entry, "drawn"}, func(all []Case) []bool {
			asked++
			var out []bool
			for _, s := range all {
				out = append(out, c.through(s.Flow))
			}
			return out
		})
		if got.Flow != c.want || asked > maxRounds {
			t.Errorf("%s: %s after %d rounds, want %v", c.name, got, asked, c.want)
		}
	}
}

// It never asks about a case that the model predicts otherwise, nor about one that is not simpler; and a short answer is no.
func TestShrinkAsksWhatIsSimpler(t *testing.T) {
	for name, m := range models {
		for _, c := range Generate(m, 8080, 3) {
			got := Shrink(m, c, func(all []Case) []bool {
				for _, s := range all {
					if m.Predict(s.Flow) != m.Predict(c.Flow) || s.compare(c) >= 0 {
						t.Errorf("%s: asks about %s after %s", name, s, c)
					}
				}
				return nil
			})
			if got != c {
				t.Errorf("%s: %s of %s without an answer", name, got, c)
			}
		}
	}
}

func TestSimplest(t *testing.T) {
	entry := netip.MustParsePrefix("172.30.2.10/32")
	var all []Case
	for _, f := range []Flow{
		{UDP, netip.MustParseAddr("172.30.2.11"), 0}, tcp("9.8.7.6", 0), tcp("172.30.2.11", 53), tcp("172.30.2.14", 0), tcp("172.30.2.8", 0), tcp("::ffff:172.30.2.11", 0),
	} {
		all = append(all, Case{f, entry, "x"})
	}
	if got := Simplest(all); got.Flow != tcp("172.30.2.8", 0) {
		t.Errorf("%s", got)
	}
	oneFar, twoNear := Case{tcp("172.30.3.10", 0), entry, "x"}, Case{tcp("172.30.2.9", 0), entry, "x"}
	if got := Simplest([]Case{twoNear, oneFar}); got != oneFar {
		t.Errorf("%s", got)
	}
}
