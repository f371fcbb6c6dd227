package mutants

import "bottle.internal/probes"

// faultMutants are guests whose engine does not do what it says.
var faultMutants = []Mutant{
	{
		Name: "allowlist-ignored", Kind: SimulatorFault, On: on(tsi, tsiAlias, virtio),
		Breaks:    "The engine takes the policy, shows it, and enforces none.",
		Reference: "smolvm#427 (a non-allowed address stayed reachable); lessons §4 row 2",
		Edit:      Edit{Faults: []string{"allowlist-ignored"}},
		Kills:     []Kill{leaks("net.tcp.loopback.v4", "net.tcp.canary.v4", "net.tcp.testnet.v4", "net.udp.canary.v4", "net.tcp.public.v4")},
	},
	{
		Name: "no-network", Kind: SimulatorFault, On: on(tsi),
		Breaks:    "The guest has no network at all, so every denial is one by accident.",
		Reference: "lessons §1.1: three green probes of a guest with network:false",
		Edit:      Edit{Faults: []string{"no-network"}},
		Kills:     []Kill{{Probes: []string{"net.tcp.allowed.v4"}, Verdict: probes.Overblocked}, unknown("net.tcp.loopback.v4", "net.tcp.canary.v4", "net.tcp.testnet.v4")},
	},
	{
		Name: "udp-unfiltered", Kind: SimulatorFault, On: on(tsi, virtio),
		Breaks:    "The policy is asked about connections and not about datagrams.",
		Reference: "tsi-and-virtio-net §2 (enforcement points of sendto); netassert",
		Edit:      Edit{Faults: []string{"udp-unfiltered"}},
		Kills:     []Kill{leaks("net.udp.canary.v4", "net.udp.loopback.v4", "net.udp.public.v4")},
	},
	{
		Name: "ipv6-unfiltered", Kind: SimulatorFault, On: on(virtio),
		Breaks:    "The policy is asked about IPv4 only.",
		Reference: "claude-code#24952; smolvm b3a5f520 (a bare IPv6 address became a /32)",
		Edit:      Edit{Faults: []string{"ipv6-unfiltered"}},
		Kills:     []Kill{leaks("net.ipv6.public", "net.ipv6.public.udp")},
	},
	{
		Name: "gateway-open", Kind: SimulatorFault, On: on(virtio),
		Breaks:    "The policy is not asked about the gateway, which is dialled as the host's loopback.",
		Reference: "smolvm#784, smolvm#963; tsi-and-virtio-net §8 (treat gateway:P as the primary loopback probe)",
		Edit:      Edit{Faults: []string{"gateway-open"}},
		Kills:     []Kill{leaks("net.tcp.gateway-host.v4", "net.tcp.host-alias", "net.tcp.loopback.v4", "net.tcp.loopback.v6", "net.udp.loopback.v4", "net.udp.loopback.v6")},
	},
	{
		Name: "metadata-open", Kind: SimulatorFault, On: on(virtio),
		Breaks:    "The floor under link-local addresses is gone, and the policy with it.",
		Reference: "smolvm#389 and #427 (the floor that came and went); tsi-and-virtio-net §6",
		Edit:      Edit{Faults: []string{"metadata-open"}},
		Kills:     []Kill{leaks("net.tcp.metadata.v4", "net.udp.metadata.v4", "net.ipv6.metadata")},
	},
	{
		Name: "translation-open", Kind: SimulatorFault, On: on(virtio),
		Breaks:    "Addresses behind NAT64 are let through: a denied IPv4 address in IPv6's clothes.",
		Reference: "agent-egress-bench ssrf-bypass; AWS and NAT64 in prior-art net.ipv6.metadata",
		Edit:      Edit{Faults: []string{"translation-open"}},
		Kills:     []Kill{leaks("net.tcp.addr-encodings", "net.ipv6.metadata")},
	},
	{
		Name: "port-53-open", Kind: SimulatorFault, On: on(tsi),
		Breaks:    "Port 53 is let through whatever the address.",
		Reference: "smolvm add_dns_tcp_sockets; PRD 0058 in lessons §3 (a backend known to leak raw DNS)",
		Edit:      Edit{Faults: []string{"port53-open"}},
		Kills:     []Kill{leaks("net.dns.direct.tcp", "net.tcp.port53")},
	},
	{
		Name: "port-443-open", Kind: SimulatorFault, On: on(tsi),
		Breaks:    "Port 443 is let through whatever the address.",
		Reference: "claude-code#36907; gh-aw-firewall (a wall by port)",
		Edit:      Edit{Faults: []string{"port443-open"}},
		Kills:     []Kill{leaks("net.tcp.public.v4", "net.dns.doh", "net.udp.quic", "net.ipv6.public", "net.tcp.testnet.v4", "net.tcp.all-ports-sample")},
	},
	{
		Name: "prefix-wide", Kind: SimulatorFault, On: on(tsiAlias, virtioAlias),
		Breaks:    "The policy's /32 is enforced as a /31.",
		Reference: "smolvm v0.8.0 smolfile.rs and b3a5f520 (a prefix length that is not the one meant); cyclonus generator",
		Edit:      Edit{Faults: []string{"prefix-wide"}},
		Kills:     []Kill{leaks("policy.boundary.tcp", "policy.boundary.udp")},
	},
	{
		Name: "mask-holes", Kind: SimulatorFault, On: on(tsi, virtio),
		Breaks:    "The mask that the policy compares by lacks the last bit of the second and of the third byte.",
		Reference: "prior-art: cyclonus generator (neighbouring nets with the same low bits); libkrun 98163265 muxer.rs (prefixes are compared by hand)",
		Edit:      Edit{Faults: []string{"mask-holes"}},
		Kills:     []Kill{leaks("policy.boundary.tcp", "policy.boundary.udp")},
	},
	{
		Name: "audit-only", Kind: SimulatorFault, On: on(virtio),
		Breaks:    "The engine logs every denial, and lets it pass.",
		Reference: "prior-art §5.2 (triple witness): an enforcer's log alone is no containment; glovebox audit mode",
		Edit:      Edit{Faults: []string{"audit-only"}},
		Kills:     []Kill{leaks("net.tcp.canary.v4", "net.tcp.testnet.v4", "net.udp.canary.v4", "net.icmp.echo.v4", "net.icmp.echo.v6", "net.icmp.tunnel", "policy.boundary.icmp")},
	},
	{
		Name: "publish-unasked", Kind: SimulatorFault, On: on(tsi),
		Breaks:    "Every port that the guest listens on is bound on the host.",
		Reference: "libkrun 2505ab1 (smolvm up to 0.5.20); A3S-Lab/Box#371; tsi-and-virtio-net §5",
		Edit:      Edit{Faults: []string{"publish-unasked"}},
		Kills:     []Kill{leaks("net.inbound.unpublished", "net.inbound.loopback-leak")},
	},
	{
		Name: "host-mount", Kind: SimulatorFault, On: on(virtio),
		Breaks:    "The host's root is in the guest, read-only.",
		Reference: "agent-glovebox escape canary; prior-art fs.host-canary.read",
		Edit:      Edit{Faults: []string{"host-mount"}},
		Kills:     []Kill{leaks("fs.host-canary.read", "fs.symlink.escape", "fs.mounts.exact", "cred.files.decoy", "cred.agent", "net.unix.host-path")},
	},
	{
		Name: "env-leak", Kind: SimulatorFault, On: on(virtio),
		Breaks:    "Commands in the guest have the environment of whoever launched it.",
		Reference: "vetto ENV-LEAK; prior-art env.decoy",
		Edit:      Edit{Faults: []string{"env-leak"}},
		Kills:     []Kill{leaks("env.decoy")},
	},
	{
		Name: "hostname-leak", Kind: SimulatorFault, On: on(virtio),
		Breaks:    "The guest's host name is the host's.",
		Reference: "sandbox-probe; prior-art cred.host-identity",
		Edit:      Edit{Faults: []string{"hostname-leak"}},
		Kills:     []Kill{leaks("cred.host-identity")},
	},
}
