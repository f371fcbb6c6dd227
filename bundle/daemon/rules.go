package daemon

import (
	"net"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"

	"bottle.internal/bundle/internal/wire"
)

// Rules is a host allowlist. The zero Rules allows nothing.
//
// An entry is HOST or HOST:PORT. HOST is a name in which * stands for any characters, or an IP literal; without PORT it
// stands for ports 80 and 443. A name with a * never matches an IP literal, and no name matches this container's own
// addresses: those, loopback and link-local are reached only where an entry spells the address out.
type Rules []rule

type rule struct {
	text string
	host string     // lower case, without a trailing dot; "" for an IP entry
	ip   netip.Addr // unmapped; invalid for a name entry
	port uint16     // 0 = 80 and 443
}

// hostGlob is what a name entry may hold: the letters of a host name, and the star.
var hostGlob = regexp.MustCompile(`^[a-z0-9_*]([a-z0-9_*.-]*[a-z0-9_*])?$`)

// ParseRules reads a comma list of entries.
func ParseRules(list string) (Rules, error) {
	var out Rules
	for _, text := range split(list) {
		r, err := parseRule(text)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func parseRule(text string) (rule, error) {
	r := rule{text: text}
	if ip, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && ip.Zone() == "" {
		r.ip = ip.Unmap()
		return r, nil
	}
	host := text
	if h, p, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return rule{}, usagef("%s: %q has no valid port", wire.EnvAllow, text)
		}
		host, r.port = h, uint16(n)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		r.ip = ip.Unmap()
		return r, nil
	}
	r.host = normalHost(host)
	if !hostGlob.MatchString(r.host) {
		return rule{}, usagef("%s: %q is neither a host glob nor an IP address, with or without a port", wire.EnvAllow, text)
	}
	return r, nil
}

// String is the comma list ParseRules reads.
func (rs Rules) String() string {
	texts := make([]string, len(rs))
	for i, r := range rs {
		texts[i] = r.text
	}
	return strings.Join(texts, ",")
}

func (r rule) portOK(port uint16) bool {
	return r.port == port || r.port == 0 && (port == 80 || port == 443)
}

func (r rule) hostOK(t target) bool {
	if t.ip.IsValid() || r.ip.IsValid() {
		return t.ip.IsValid() && r.ip == t.ip
	}
	ok, _ := path.Match(r.host, t.host) // hostGlob admits no pattern that is bad
	return ok
}

// exact reports whether r spells out one host: only then may it open what is closed by nature.
func (r rule) exact() bool { return r.ip.IsValid() || !strings.Contains(r.host, "*") }

// A target is where a request wants to go.
type target struct {
	host string     // as a name, normalised
	ip   netip.Addr // valid if the host is an IP literal, unmapped
	port uint16
}

func (t target) String() string {
	return net.JoinHostPort(t.host, strconv.Itoa(int(t.port)))
}

// parseTarget reads host:port; fallback is the port where there is none, 0 = it must be there.
func parseTarget(hostport string, fallback uint16) (target, bool) {
	host, port := strings.Trim(hostport, "[]"), fallback
	if h, p, err := net.SplitHostPort(hostport); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return target{}, false
		}
		host, port = h, uint16(n)
	}
	t := target{host: normalHost(host), port: port}
	if ip, err := netip.ParseAddr(t.host); err == nil {
		if ip.Zone() != "" {
			return target{}, false
		}
		t.ip = ip.Unmap()
		t.host = t.ip.String()
	} else if strings.Contains(t.host, ":") {
		return target{}, false // IPv6 in no known spelling, or two ports
	}
	return t, t.host != "" && t.port != 0
}

func normalHost(h string) string { return strings.TrimSuffix(strings.ToLower(h), ".") }

// A verdict is what the rules say of one target.
type verdict struct {
	allow bool
	rule  string // the entry that allows, or the ground of the denial
}

// judge decides by what the request says. What a name resolves to is the dialler's to check (guard).
func (rs Rules) judge(t target, own func(netip.Addr) bool) verdict {
	hostListed := false
	closed := t.closed(own)
	for _, r := range rs {
		if !r.hostOK(t) || closed != "" && !r.exact() {
			continue
		}
		if r.portOK(t.port) {
			return verdict{true, r.text}
		}
		hostListed = true
	}
	switch {
	case closed != "":
		return verdict{false, closed}
	case hostListed:
		return verdict{false, "port-not-listed"}
	}
	return verdict{false, "host-not-listed"}
}

// closed names the ground on which t is out of reach unless an entry spells it out, "" if there is none.
func (t target) closed(own func(netip.Addr) bool) string {
	if t.host == "localhost" || strings.HasSuffix(t.host, ".localhost") {
		return "loopback"
	}
	if !t.ip.IsValid() {
		return ""
	}
	return closedAddr(t.ip, own)
}

func closedAddr(ip netip.Addr, own func(netip.Addr) bool) string {
	switch {
	case ip.IsLoopback(), ip.IsUnspecified():
		return "loopback"
	case ip.IsLinkLocalUnicast(), ip.IsMulticast():
		return "link-local"
	case own(ip):
		return "own-address"
	}
	return ""
}

// guard decides by the address a name turned out to be: asked is what the request said, ap what is about to be dialled.
func (rs Rules) guard(asked target, ap netip.AddrPort, own func(netip.Addr) bool) verdict {
	ip := ap.Addr().Unmap().WithZone("")
	ground := closedAddr(ip, own)
	if ground == "" {
		return verdict{true, "egress"}
	}
	for _, r := range rs {
		spelled := r.ip == ip && r.ip.IsValid()
		local := r.exact() && r.host != "" && r.host == asked.host && asked.closed(own) != ""
		if (spelled || local) && r.portOK(ap.Port()) {
			return verdict{true, r.text}
		}
	}
	return verdict{false, ground}
}

// ownAddr reports whether ip is an address of this network namespace.
func ownAddr(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // what cannot be told apart from oneself is not dialled
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == ip {
				return true
			}
		}
	}
	return false
}
