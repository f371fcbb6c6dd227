package probes

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"bottle.internal/probes/agent"
)

// A hostAddr is an address of this host and what it is there for.
type hostAddr struct {
	netip.Addr              // with a zone where it is link-local
	Net        netip.Prefix // the address and its network
	Interface  string       // its name
	Bridge     bool         // the host's end of a network of containers or guests
}

// bridges are what interfaces of container and virtual machine networks are called.
var bridges = []string{"docker", "br-", "virbr", "vmnet", "vmenet", "bridge", "cni", "podman", "lxc", "lima"}

// hostAddrs are the addresses of this host that are up, loopback left out. The order is the host's.
func hostAddrs() []hostAddr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var all []hostAddr
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			ip := p.Addr()
			if ip.Is6() && ip.IsLinkLocalUnicast() {
				ip = ip.WithZone(i.Name)
			}
			all = append(all, hostAddr{ip, p, i.Name, isBridge(i.Name)})
		}
	}
	return all
}

func isBridge(name string) bool {
	for _, prefix := range bridges {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// A filter chooses among addresses of the host.
type filter func(hostAddr) bool

func isLAN(a hostAddr) bool {
	return a.Is4() && !a.Bridge && !a.IsLinkLocalUnicast()
}

func isBridge4(a hostAddr) bool { return a.Is4() && a.Bridge }

func isGlobal6(a hostAddr) bool { return a.Is6() && !a.IsLinkLocalUnicast() }

func isLocal6(a hostAddr) bool { return a.Is6() && a.IsLinkLocalUnicast() }

func isAny4(a hostAddr) bool { return isLAN(a) || isBridge4(a) }

// hosts are the addresses of this host that a guest must not reach: those that f takes, without the allowed destination's, which
// in topology alias is one of them, and without those that may not last as long as this run.
func (r *rig) hosts(f filter) []hostAddr {
	all := slices.DeleteFunc(hostAddrs(), func(a hostAddr) bool {
		return !f(a) || a.WithZone("") == r.site.Allowed.Addr.Addr() || slices.Contains(r.site.Passing, a.Addr)
	})
	lasting := slices.DeleteFunc(slices.Clone(all), r.foreign)
	if len(lasting) == 0 {
		return all
	}
	return lasting
}

// madeNetworks is what Docker calls the bridge of a network that somebody made; the one that is always there is docker0.
const madeNetworks = "br-"

// foreign reports whether a is the end of a network that somebody made for other containers and takes away when they are done, at any
// time: no canary lasts there. The wall before it is the wall before any other bridge.
func (r *rig) foreign(a hostAddr) bool {
	return strings.HasPrefix(a.Interface, madeNetworks) && !a.Net.Contains(r.site.Allowed.Addr.Addr())
}

// maxHosts bounds how many addresses of a kind are tried, for a host with a hundred bridges. What is left out is said.
const maxHosts = 16

// some are the first most of all, one of each interface before a second of any, and what is to be said of the others.
func some(all []hostAddr, most int) (tried []hostAddr, besides string) {
	seen := make(map[string]bool)
	var later []hostAddr
	for _, a := range all {
		if seen[a.Interface] {
			later = append(later, a)
			continue
		}
		seen[a.Interface] = true
		tried = append(tried, a)
	}
	tried = append(tried, later...)
	if len(tried) <= most {
		return tried, ""
	}
	var left []string
	for _, a := range tried[most:] {
		left = append(left, a.String())
	}
	return tried[:most], fmt.Sprintf("%d more addresses of this host were not tried: %s", len(left), enumerated(left))
}

// hostAims aims at a canary on each address of the host that f takes. shape, if not nil, edits each aim.
func (r *rig) hostAims(what string, f filter, shape func(*aim)) ([]aim, absence) {
	hosts := r.hosts(f)
	if len(hosts) == 0 {
		return nil, absence{why: "this host has no " + what}
	}
	tried, besides := some(hosts, maxHosts)
	var aims []aim
	for _, h := range tried {
		aims = append(aims, r.hostAim(netip.AddrPortFrom(h.Addr, 0), shape))
	}
	return aims, absence{besides: besides}
}

// hostAim aims at a canary at addr, which is this host's; port 0 is any.
func (r *rig) hostAim(addr netip.AddrPort, shape func(*aim)) aim {
	a := aim{addr: addr, wall: policyWall}
	if shape != nil {
		shape(&a)
	}
	p, err := r.canaryFor(a.over(), addr)
	if err != nil {
		a.absent, a.gone = err.Error(), errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
		if addr.Port() == 0 {
			a.addr = netip.AddrPortFrom(addr.Addr(), discardPort)
		}
		return a
	}
	a.post = p
	if a.addr.Port() == 0 {
		a.addr = netip.AddrPortFrom(a.addr.Addr(), p.Addr.Port())
	}
	return a
}

// firstHost is one address of the host that a guest must not reach, for probes of ways round the wall: which one does not matter.
func (r *rig) firstHost(shape func(*aim)) ([]aim, absence) {
	aims, none := r.hostAims("IPv4 address beside its loopback and the allowed one", isAny4, shape)
	if none.why != "" {
		return nil, none
	}
	return aims[:1], absence{}
}

// worldAims aims at addresses that are not this host's, with the world behind them.
func (r *rig) worldAims(shape func(*aim), addrs ...string) ([]aim, absence) {
	if r.world == nil && !r.opts.Online {
		return nil, absence{why: "nothing stands in for the internet here, and public addresses are dialled with Online only"}
	}
	var aims []aim
	for _, text := range addrs {
		a := aim{addr: netip.MustParseAddrPort(text), wall: policyWall, post: r.world}
		if r.world == nil {
			a.absent = "it is no address of ours"
		}
		if shape != nil {
			shape(&a)
		}
		aims = append(aims, a)
	}
	return aims, absence{}
}

// canaryFor is the canary of network's kind at addr, brought up when it is first asked for.
func (r *rig) canaryFor(network agent.Network, addr netip.AddrPort) (*post, error) {
	if c := classOf(network); c != datagrams {
		return r.canary(addr)
	}
	return r.udpCanary(addr)
}

// bound aims at a canary on an address that the host may or may not be able to bind, such as one beside the allowed. With an error the aim
// has none; only where it is gone there is nothing to be tried.
func (r *rig) bound(addr netip.Addr, shape func(*aim)) (aim, error) {
	a := r.hostAim(netip.AddrPortFrom(addr, 0), shape)
	if a.absent != "" {
		return a, fmt.Errorf("no canary at %s: %s", addr, a.absent)
	}
	return a, nil
}
