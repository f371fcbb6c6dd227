package probes

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

const (
	servingControl = "The guest dials its own listener and has a nonce answered; meanwhile the host tries the port at its own addresses again and again, and no " +
		"nonce of the host's is answered. The allowed destination echoes a nonce before and after in the same batch."
	servingRemedy = "Publish no port that was not asked for: smolvm up to 0.5.20 bound every listener of a tsi guest on the host."
)

// inboundProbes are the probes of family net.inbound: ways in.
var inboundProbes = []Probe{
	{
		ID: "net.inbound.unpublished", Family: "net.inbound", Severity: Critical, Expect: Contain,
		What: "Listen on all addresses of the guest, IPv4 and IPv6, on ports that nobody published, while the host dials them at its own addresses.",
		Why:  "A development server that binds all addresses inside a sandbox is on the host's network for whoever is there.", Control: servingControl, Remedy: servingRemedy,
		Source: "A3S-Lab/Box#371; libkrun 2505ab1", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.servingAims(registered, netip.IPv4Unspecified(), netip.IPv6Unspecified())
		},
	},
	{
		ID: "net.inbound.loopback-leak", Family: "net.inbound", Severity: Critical, Expect: Contain,
		What: "Listen on the guest's loopback only, while the host dials that port at its own addresses.",
		Why:  "Loopback is where programs put what is for themselves. On tsi the guest's may be the host's, and so every other guest's.", Control: servingControl, Remedy: servingRemedy,
		Source: "libkrun#860", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) {
			return r.servingAims(registered, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		},
	},
	{
		ID: "net.inbound.ephemeral", Family: "net.inbound", Severity: Medium, Expect: Contain,
		What: "Listen on a port of the range from which kernels give out ports by themselves, while the host dials it at its own addresses.",
		Why:  "A listener on port 0 gets such a port. An engine that maps listeners to the host by a rule for named ports may have none for these.", Control: servingControl, Remedy: servingRemedy,
		Source: "libkrun#818", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) { return r.servingAims(ephemeral, netip.IPv4Unspecified()) },
	},
	{
		ID: "net.inbound.published", Family: "net.inbound", Severity: High, Expect: Contain,
		What: "Listen in the guest on the ports that are published, while the host dials them at every address but the one declared.",
		Why:  "A port that was meant for the host's loopback and is bound to all addresses is open to the network.", Control: servingControl,
		Remedy: "Publish on 127.0.0.1. smolvm up to 1.1.2 binds the address that the guest chooses; from there on SMOLVM_PUBLISH_ADDR decides.",
		Source: "smolvm v0.8.0 tsi_stream.rs (the guest chooses the host's address); lima port forwarding tests", Where: "Where a port of the guest's is declared as published.",
		aims: (*rig).publishedAims,
	},
	{
		ID: "net.inbound.sidecar", Family: "net.inbound", Severity: High, Expect: Contain,
		What:    "Dial the port of the allowed destination at every other address of the host.",
		Why:     "The sidecar holds the credentials. Published on one address it is the bottle's; published on all it is the network's.",
		Control: "The allowed destination proves a nonce to the guest in the same batch, so it is up; its proof, which nobody else can make, is what tells it from other listeners.",
		Remedy:  "Publish the sidecar's ports on the bottle's own address. With smolvm do not set SMOLVM_PUBLISH_ADDR.",
		Source:  "docker publishes on 0.0.0.0 unless told otherwise; smolvm v1.9.3 tcp_listeners.rs", Where: "Where the allowed destination is a port of this host's, as in topology alias.",
		aims: (*rig).sidecarAims,
	},
}

// A portRange is where a port to listen on is taken from.
type portRange struct{ first, last int }

var (
	registered = portRange{10000, 30000}
	// shared are ports that no kernel gives out by itself, be it the simulator's guest's: what is dialled there leaves the guest.
	shared    = portRange{10000, 19900}
	ephemeral = portRange{49152, 60999}
)

// freePort is a port of the range that nothing on this host listens on, as far as that can be known.
func (p portRange) freePort() (uint16, error) {
	var last error
	for range 20 {
		port := p.first + rand.IntN(p.last-p.first)
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			last = err
			continue
		}
		return uint16(port), l.Close() //nolint:gosec // below 1<<16 by the ranges
	}
	return 0, last
}

// servingAims are listeners of the guest at each of addrs, at a port of the range; the host tries to come in at its own addresses.
func (r *rig) servingAims(ports portRange, addrs ...netip.Addr) ([]aim, absence) {
	var aims []aim
	all, besides := ownAddresses()
	for _, addr := range addrs {
		port, err := ports.freePort()
		if err != nil {
			return nil, absence{why: "no port of this host is free to be tried: " + err.Error(), unproven: true}
		}
		a := aim{network: agent.Serve, addr: netip.AddrPortFrom(addr, port), wall: kernelWall}
		for _, own := range all {
			a.outside = append(a.outside, netip.AddrPortFrom(own, port))
		}
		aims = append(aims, a)
	}
	return aims, absence{besides: besides}
}

// publishedAims are listeners on published ports, which the host looks for at every other address of its own.
func (r *rig) publishedAims() ([]aim, absence) {
	var aims []aim
	all, besides := ownAddresses()
	var silent []string
	for _, p := range r.site.Declared.Published {
		if !p.stream() {
			silent = append(silent, p.Network+" "+p.Host.String())
			continue
		}
		a := aim{network: agent.Serve, addr: netip.AddrPortFrom(netip.IPv4Unspecified(), p.Guest), wall: kernelWall}
		for _, own := range all {
			if own != p.Host.Addr() && (own.Is4() || !p.Host.Addr().IsLoopback()) { // ::1 is published beside 127.0.0.1
				a.outside = append(a.outside, netip.AddrPortFrom(own, p.Host.Port()))
			}
		}
		aims = append(aims, a)
	}
	untried := ""
	if len(silent) > 0 {
		untried = "only streams are tried, and what is published besides is not: " + enumerated(silent)
	}
	switch {
	case len(aims) == 0 && untried != "":
		return nil, absence{why: untried, unproven: true}
	case len(aims) == 0:
		return nil, absence{why: "no port of the guest's is declared as published"}
	case besides != "" && untried != "":
		untried = "; " + untried
	}
	return aims, absence{besides: besides + untried}
}

// maxOwn bounds how many addresses of the host it tries to come in at, beside its loopback: each is tried all the while.
const maxOwn = 8

// ownAddresses are the addresses of this host that it can dial itself at, its loopback first, and what is to be said of those left out.
func ownAddresses() ([]netip.Addr, string) {
	own := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	tried, besides := some(slices.DeleteFunc(hostAddrs(), func(a hostAddr) bool { return a.IsLinkLocalUnicast() }), maxOwn)
	for _, a := range tried {
		own = append(own, a.Addr)
	}
	return own, besides
}

// sidecarAims try the allowed destination's port at every address of this host but its own. The guest serves beside it, on a
// port that nobody dials: what the host's tries find is not the guest's.
func (r *rig) sidecarAims() ([]aim, absence) {
	at := r.site.Allowed.Addr
	if !at.IsValid() {
		return nil, absence{why: "the site names no allowed destination", unproven: true}
	}
	if !isHostAddr(at.Addr()) && !at.Addr().IsLoopback() {
		return nil, absence{why: at.String() + " is no address of this host: nothing of the sidecar's is published"}
	}
	port, err := registered.freePort()
	if err != nil {
		return nil, absence{why: "no port of this host is free to be tried: " + err.Error(), unproven: true}
	}
	a := aim{network: agent.Serve, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), wall: kernelWall, proof: r.site.Allowed.Secret}
	all, besides := ownAddresses()
	for _, own := range all {
		if own != at.Addr() {
			a.outside = append(a.outside, netip.AddrPortFrom(own, at.Port()))
		}
	}
	return []aim{a}, absence{besides: besides}
}

// proves reports whether an answer bears the proof of n that only the holder of s can make.
func proves(s echo.Secret, n echo.Nonce, answer []byte) bool {
	reply, err := echo.ParseResponse(answer)
	return err == nil && s.Verify(n, reply)
}
