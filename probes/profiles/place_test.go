package profiles

import (
	"net/netip"
	"testing"
)

func TestPlace(t *testing.T) {
	for s, c := range map[string]struct{ in, out []string }{
		"*":               {in: []string{"1.1.1.1:53", "[::1]:1", "0.0.0.0:0"}},
		"*:53":            {in: []string{"1.1.1.1:53", "[::1]:53"}, out: []string{"1.1.1.1:54"}},
		"1.1.1.1":         {in: []string{"1.1.1.1:53", "1.1.1.1:1"}, out: []string{"1.1.1.2:53", "[::ffff:1.1.1.1]:53"}},
		"1.1.1.1:53":      {in: []string{"1.1.1.1:53"}, out: []string{"1.1.1.1:54", "1.1.1.2:53"}},
		"1.1.1.0/24":      {in: []string{"1.1.1.255:9"}, out: []string{"1.1.2.0:9"}},
		"0.0.0.0/0":       {in: []string{"9.9.9.9:9"}, out: []string{"[2001:db8::1]:9", "[::ffff:9.9.9.9]:9"}},
		"1.1.1.0/24:53":   {in: []string{"1.1.1.7:53"}, out: []string{"1.1.1.7:9"}},
		"::1":             {in: []string{"[::1]:9"}, out: []string{"[::2]:9", "127.0.0.1:9"}},
		"[::1]":           {in: []string{"[::1]:9"}},
		"[::1]:53":        {in: []string{"[::1]:53"}, out: []string{"[::1]:9"}},
		"[fd00::/8]:53":   {in: []string{"[fd12::1]:53"}, out: []string{"[fe80::1]:53", "[fd12::1]:9"}},
		"fe80::/10":       {in: []string{"[fe80::1%2]:9"}, out: []string{"[fd00::1]:9"}},
		"::ffff:1.1.1.1":  {in: []string{"[::ffff:1.1.1.1]:9"}, out: []string{"1.1.1.1:9"}},
		"255.255.255.255": {in: []string{"255.255.255.255:9"}, out: []string{"255.255.255.254:9"}},
	} {
		p, err := parsePlace(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
		}
		for _, a := range c.in {
			if !p.covers(netip.MustParseAddrPort(a)) {
				t.Errorf("%s does not cover %s", s, a)
			}
		}
		for _, a := range c.out {
			if p.covers(netip.MustParseAddrPort(a)) {
				t.Errorf("%s covers %s", s, a)
			}
		}
		if got, want := p.covers(netip.AddrPort{}), s == "*"; got != want {
			t.Errorf("%s covers an attempt without an address: %t", s, got)
		}
	}
}

// A target that nobody can be sure to read as it was meant is none.
func TestNoPlace(t *testing.T) {
	for _, s := range []string{
		"", " ", "any", "one.one.one.one", "1.1.1", "1.1.1.1.1", "01.1.1.1", "1.1.1.1:", "1.1.1.1:0", "1.1.1.1:65536", "1.1.1.1:dns", "1.1.1.1:-1", "1.1.1.1:+53",
		":53", "*:", "*:*", "**", "*.1", "1.1.1.1/33", "1.1.1.1/24", "1.1.1.1/", "1.1.1.1/24:", "::1:53:x", "[::1", "::1]", "[::1]53", "[::1]:", "[*]x",
		"fe80::1%2", "[fe80::1%2]:53", "1.1.1.1 ", "1.1.1.1,1.1.1.2", "!1.1.1.1",
	} {
		if p, err := parsePlace(s); err == nil {
			t.Errorf("%q is %+v", s, p)
		}
	}
}
