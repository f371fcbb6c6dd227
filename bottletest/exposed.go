package bottletest

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"

	"bottle.internal/internal/procnet"
)

// exposed are the TCP listeners of this host that answer at alias although they are not the bundle's: those bound to the
// wildcard address, and those bound to alias itself. smolvm filters by address and not by port, so each is in the guest's
// reach. An error says that this is not known; it must not read as none.
func exposed(alias netip.Addr) ([]netip.AddrPort, error) {
	var found []netip.AddrPort
	for _, network := range []string{"tcp", "tcp6"} {
		f, err := os.Open("/proc/net/" + network)
		if os.IsNotExist(err) && network == "tcp6" {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("looking for this host's listeners: %w", err)
		}
		sockets, err := procnet.Parse(f, network)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("looking for this host's listeners: %s: %w", f.Name(), err)
		}
		for _, s := range sockets {
			// A wildcard of IPv6 is counted: whether it takes IPv4 as well is not in the file.
			if s.Addr.Addr().IsUnspecified() || s.Addr.Addr().Unmap() == alias {
				found = append(found, s.Addr)
			}
		}
	}
	slices.SortFunc(found, netip.AddrPort.Compare)
	return slices.Compact(found), nil
}

// exposedText says in a line or more what the alias of p exposes besides the bundle, as of now. Nil in topology bridge.
func (p Plan) exposedText() []string {
	if p.Topology != Alias {
		return nil
	}
	all, err := exposed(p.Bundle)
	if err != nil {
		why := err.Error()
		if runtime.GOOS != "linux" {
			why = "what listens here is not looked up on " + runtime.GOOS
		}
		return []string{fmt.Sprintf("exposes whatever this host has bound to the wildcard address: it answers at %s, on every port (%s)", p.Bundle, why)}
	}
	var text []string
	for _, l := range all {
		if p.publishes(l) {
			continue
		}
		text = append(text, fmt.Sprintf("exposes %s of this host, which answers at %s as well", l, netip.AddrPortFrom(p.Bundle, l.Port())))
	}
	if len(text) == 0 {
		text = []string{fmt.Sprintf("exposes nothing besides the bundle: no other listener of this host answers at %s now", p.Bundle)}
	}
	return text
}

// checkPublished fails where a port of the bundle is bound to more than the alias: whatever publishes it was asked for one
// address, and at every address the host's neighbours would reach the bundle. When the ports were chosen nobody had them bound.
func (p Plan) checkPublished() error {
	all, err := exposed(p.Bundle)
	if err != nil {
		return nil //nolint:nilerr // not known on this platform, and the report says so
	}
	for _, l := range all {
		for port, host := range p.Ports {
			if l.Port() == host && !p.publishes(l) {
				return fmt.Errorf("port %d of the bundle, published at %s, is bound at %s: at every address of this host", port, p.At(port), l)
			}
		}
	}
	return nil
}

// publishes reports whether the listener l is the bundle's own.
func (p Plan) publishes(l netip.AddrPort) bool {
	for _, host := range p.Ports {
		if l.Addr().Unmap() == p.Bundle && l.Port() == host {
			return true
		}
	}
	return false
}
