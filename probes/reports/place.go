package reports

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"bottle.internal/probes"
)

// A place is a target under a name that is the same in the next run.
type place struct{ name string }

// places are where f asks for something: for a leak each target that was reached, else all targets together. Nil if it asks for
// nothing.
func places(f probes.Finding) []place {
	if f.Verdict == probes.Contained || f.Verdict == probes.NotApplicable {
		return nil
	}
	leak := f.Verdict == probes.Leak || f.Verdict == probes.Exposed
	var names []string
	for _, a := range f.Attempts {
		if name := stable(a.Target); (!leak || a.Leaked()) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if !leak || len(names) == 0 { // a leak without such an attempt is a leak all the same
		return []place{{strings.Join(names, ", ")}}
	}
	var all []place
	for _, n := range names {
		all = append(all, place{n})
	}
	return all
}

// fingerprint names the finding of the probe id at p, for whoever tracks it from run to run.
func (p place) fingerprint(id string) string {
	sum := sha256.Sum256([]byte(id + "\x00" + p.name))
	return hex.EncodeToString(sum[:16])
}

// path is a relative URI for what has no file.
func (p place) path(id string) string {
	return "bottle/" + url.PathEscape(id) + "/" + url.PathEscape(strings.ReplaceAll(p.name, "/", ":"))
}

var (
	// random is what differs from run to run in a name: hexadecimal digits of a draw, numbers of ports and temporary directories.
	random = regexp.MustCompile(`[0-9a-f]{8,}|[0-9]{5,}`)
	// address is what may be one, with a port or without.
	address = regexp.MustCompile(`\[?[0-9a-fA-F]*[:.][0-9a-fA-F:.]+\]?(:[0-9]+)?`)
)

// stable is a target's name without what the run drew by lot. A bottle's network is drawn too, so private addresses are "private".
func stable(target string) string {
	named := address.ReplaceAllStringFunc(target, func(s string) string {
		if a, err := netip.ParseAddr(s); err == nil {
			return private(a, s)
		}
		if a, err := netip.ParseAddrPort(s); err == nil {
			return private(a.Addr(), a.Addr().String())
		}
		return s
	})
	return random.ReplaceAllString(named, "*")
}

func private(a netip.Addr, public string) string {
	if a.IsPrivate() || a.IsLinkLocalUnicast() {
		return "private"
	}
	return public
}
