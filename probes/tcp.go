package probes

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// testNet is an address of TEST-NET-2 (RFC 5737): nobody has it, so whatever answers there is the sandbox's own.
var testNet = netip.MustParseAddrPort("198.51.100.77:443")

const loopbackControl = "A canary of this run listens on exactly that address of the host and is dialled there before and after; the allowed " +
	"destination echoes a nonce before and after in the same batch; nothing in the guest listens on the port; the canary never sees a nonce of the probe."

const loopbackWhere = "On tsi a guest's loopback connect asks the host when nothing in the guest listens, so 127.0.0.1 is the host's. On virtio-net the " +
	"guest's loopback is its own, and the host's is spelled as the gateway's address (smolvm 1.7.2 and newer): without that spelling not applicable."

// tcpProbes are the probes of family net.tcp.
var tcpProbes = []Probe{
	{
		ID: "net.tcp.allowed.v4", Family: "net.tcp", Severity: High, Expect: Reach,
		What:    "Dial the allowed destination and have a nonce echoed.",
		Why:     "Without this every denial is void: a guest that reaches nothing is contained by accident.",
		Control: "The proof in the reply can be computed only by the listener; where it does not answer, it is dialled from its own position.",
		Remedy:  "See what the attempts met: unreachable means that the guest has no network, denied that the allowlist lacks the address, refused that nothing listens.",
		Source:  "cilium connectivity test no-policies; the launch flow whose guests had no network and whose denials were green",
		Where:   "Everywhere.",
		aims:    (*rig).allowedAims,
	},
	{
		ID: "net.tcp.loopback.v4", Family: "net.tcp", Severity: Critical, Expect: Contain,
		What:    "Dial a canary on the host's 127.0.0.1, in every spelling this sandbox could have for it.",
		Why:     "Services on the host's loopback trust whoever reaches them: databases, debuggers, the sockets of development tools, other bottles' proxies.",
		Control: loopbackControl,
		Remedy:  "Look at the policy in effect, not at the one asked for: smolvm drops --allow-cidr next to --from below 1.8.0, and a CIDR that covers 127/8 or 100.64/10 opens the host's loopback.",
		Source:  "libkrun README (guest and VMM are one network context); smolvm#1060; smolvm v0.8.0 run_from_smolmachine",
		Where:   loopbackWhere,
		aims:    func(r *rig) ([]aim, absence) { return r.loopbackAims(netip.AddrFrom4([4]byte{127, 0, 0, 1})) },
	},
	{
		ID: "net.tcp.loopback.v6", Family: "net.tcp", Severity: Critical, Expect: Contain,
		What:    "Dial a canary on the host's ::1, in every spelling this sandbox could have for it.",
		Why:     "As net.tcp.loopback.v4; and a policy written in IPv4 CIDRs may not have been thought through for IPv6.",
		Control: loopbackControl,
		Remedy:  "As net.tcp.loopback.v4; at smolvm 0.8.0 --allow-host with an IPv6 answer opens a whole /32.",
		Source:  "libkrun 98163265 muxer.rs (IPv4 and IPv6 rules never match each other); smolvm b3a5f520",
		Where:   loopbackWhere + " A host without ::1 makes it not applicable.",
		aims:    func(r *rig) ([]aim, absence) { return r.loopbackAims(netip.IPv6Loopback()) },
	},
	{
		ID: "net.tcp.testnet.v4", Family: "net.tcp", Severity: Critical, Expect: Contain,
		What:    "Dial " + testNet.String() + ", an address that nobody has.",
		Why:     "Nothing but the policy can refuse there, so an answer that is not the policy's means that there is none.",
		Control: "An errno that only the policy gives there: EACCES on tsi, a RST within 2 s on virtio-net. Where a world stands in for the internet, it is alive and sees no nonce.",
		Remedy:  "The policy is not in force: compare what the engine was asked for with what it says is in effect.",
		Source:  "OpenShell bypass_detection.rs (a policy-only errno); libkrun 98163265 muxer.rs; smolvm tests/test_network.sh assert_egress_blocked",
		Where:   "On tsi and virtio-net, and wherever a world stands in for the internet; elsewhere no errno is the policy's own.",
		aims:    (*rig).testNetAims,
	},
}

func (r *rig) allowedAims() ([]aim, absence) {
	if r.allowed == nil {
		return nil, absence{why: "the site names no allowed destination", unproven: true}
	}
	return []aim{{addr: r.site.Allowed.Addr, post: r.allowed}}, absence{}
}

// loopbackAims are all spellings of the host's loopback of one family, on an ephemeral port and on the ports asked for.
func (r *rig) loopbackAims(host netip.Addr) ([]aim, absence) {
	var spellings []netip.Addr
	foreign := false
	for _, a := range r.site.hostLoopback() {
		if a.Is4() == host.Is4() {
			spellings = append(spellings, a)
			foreign = foreign || !a.IsLoopback()
		}
	}
	if r.site.Backend == VirtioNet && !foreign {
		return nil, absence{why: fmt.Sprintf("on virtio-net the guest's %s is its own, and the site has no other spelling of the host's", host)}
	}
	if len(spellings) == 0 {
		return nil, absence{why: fmt.Sprintf("the site has no spelling of the host's %s", host), unproven: true}
	}
	if r.site.Backend == VirtioNet { // the spelling that leaves the guest first: a report leads with it
		slices.SortStableFunc(spellings, func(a, b netip.Addr) int { return cmp.Compare(loopbackRank(a), loopbackRank(b)) })
	}
	var aims []aim
	for _, port := range append([]uint16{0}, r.opts.LoopbackPorts...) {
		p, err := r.canary(netip.AddrPortFrom(host, port))
		if port == 0 && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
			return nil, absence{why: fmt.Sprintf("the host has no %s: %v", host, err)}
		}
		for _, s := range spellings {
			aims = append(aims, r.aimAt(netip.AddrPortFrom(s, port), p, err))
		}
	}
	return aims, absence{}
}

func loopbackRank(a netip.Addr) int {
	if a.IsLoopback() {
		return 1
	}
	return 0
}

func (r *rig) testNetAims() ([]aim, absence) {
	if r.world != nil {
		return []aim{{addr: testNet, wall: policyWall, post: r.world, nobody: true}}, absence{}
	}
	if r.site.Backend != TSI && r.site.Backend != VirtioNet {
		return nil, absence{why: fmt.Sprintf("backend %q has no errno that is the policy's own, and no world stands in for the internet", r.site.Backend)}
	}
	return []aim{{addr: testNet, wall: policyWall, nobody: true, absent: "nobody has this address"}}, absence{}
}
