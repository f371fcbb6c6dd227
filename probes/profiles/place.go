package profiles

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A place is where attempts of a waiver go. The zero place is everywhere, attempts without an address among them.
type place struct {
	prefix netip.Prefix // the zero Prefix is every address
	port   uint16       // 0 is every port
}

// parsePlace reads "*", an address or a prefix, with or without a port: "*:53", "1.1.1.1", "10.0.0.0/8:53", "[fd00::/8]:53".
func parsePlace(s string) (place, error) {
	host, port, found := splitPort(s)
	p := place{}
	if found {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return place{}, fmt.Errorf("%q is no port", port)
		}
		p.port = uint16(n)
	}
	if host == "*" {
		return p, nil
	}
	var err error
	p.prefix, err = parsePrefix(host)
	return p, err
}

// splitPort splits the port off. An IPv6 address stands in brackets if there is one, and may without.
func splitPort(s string) (host, port string, found bool) {
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(s, "["), "]"); ok && strings.HasPrefix(s, "[") {
		if rest == "" {
			return inner, "", false
		}
		if port, ok = strings.CutPrefix(rest, ":"); ok {
			return inner, port, true
		}
		return s, "", false // what follows the bracket is nothing we know: no address is spelled like that
	}
	if strings.Count(s, ":") == 1 {
		host, port, _ = strings.Cut(s, ":")
		return host, port, true
	}
	return s, "", false
}

func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf(`%q is no address, no prefix and not "*"`, s)
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no prefix", s)
	}
	if p != p.Masked() { // which of the two was meant, the address or the network?
		return netip.Prefix{}, fmt.Errorf("%q has bits beyond its length: write %q or the address alone", s, p.Masked())
	}
	return p, nil
}

// covers reports whether a lies in p. An IPv4 address and the same one mapped into IPv6 are two, as they are to the policies that
// are probed. The zone is the guest's own and does not count.
func (p place) covers(a netip.AddrPort) bool {
	return (p.port == 0 || p.port == a.Port()) && (!p.prefix.IsValid() || p.prefix.Contains(a.Addr().WithZone("")))
}
