package mutants

import "bottle.internal/probes"

// policyMutants are guests that were asked for with another policy than the bottle's.
var policyMutants = []Mutant{
	{
		Name: "policy-not-asked-for", Kind: Fixture, On: on(tsi),
		Breaks:    "The launch forgets the allowlist: the guest is made with --net alone.",
		Reference: "lessons §4 row 2, as seen from the command line: smolvm v0.8.0 run_from_smolmachine sets allowed_cidrs None",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "*", Drop: true}}},
		Kills:     []Kill{leaks("net.tcp.loopback.v4", "net.tcp.canary.v4", "net.tcp.testnet.v4")},
	},
	{
		Name: "allowlist-open", Kind: Fixture, On: on(virtio), Scenes: true,
		Breaks:    "0.0.0.0/0 stands beside the bundle's address, which the guest's gateway, the host's loopback, is a part of.",
		Reference: "tsi-and-virtio-net §8 (a CIDR covering 100.64/10 or 0.0.0.0/0 re-opens host loopback); smolvm#784",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "0.0.0.0/0"}}},
		Kills:     []Kill{leaks("net.tcp.gateway-host.v4", "net.tcp.loopback.v4", "net.tcp.public.v4", "net.tcp.canary.v4", "policy.effective-vs-declared")},
	},
	{
		Name: "allowlist-slash-30", Kind: Fixture, On: on(virtio),
		Breaks:    "The prefix is two bits too wide, and the bridge's gateway, which is the host, is in it.",
		Reference: "cyclonus generator; smolvm v0.8.0 smolfile.rs (a prefix wider than the address)",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "{allowed/30}"}}},
		Kills:     []Kill{leaks("net.tcp.allow-neighbour.v4", "net.tcp.docker-bridge")},
	},
	{
		Name: "loopback-only", Kind: Fixture, On: on(tsi),
		Breaks:    "--outbound-localhost-only stands where the allowlist should: all of the host's loopback, and nothing else.",
		Reference: "lessons §1.0 041da1d7af (it opens all of 127/8 with no port filter); smolvm#1060",
		Edit:      Edit{Args: []Arg{{Flag: "--outbound-localhost-only"}}},
		Kills:     []Kill{leaks("net.tcp.loopback.v4", "net.tcp.loopback-range.v4", "net.udp.loopback.v4")},
	},
	{
		Name: "allowlist-loopback-range", Kind: Fixture, On: on(tsi),
		Breaks:    "127.0.0.0/8 stands beside the bundle's address.",
		Reference: "tsi-and-virtio-net §3 (all of 127/8 is host loopback on a Linux host); systemd-resolved at 127.0.0.53",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "127.0.0.0/8"}}},
		Kills:     []Kill{leaks("net.tcp.loopback.v4", "net.tcp.loopback-range.v4", "net.udp.loopback.v4")},
	},
	{
		Name: "allowlist-slash-24", Kind: Fixture, On: on(tsi), Scenes: true,
		Breaks:    "The allowlist has the bundle's network and not its address.",
		Reference: "agents-sandbox#144 (a bridge's gateway is the host); lessons §2.7",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "{allowed/24}"}}},
		Kills:     []Kill{leaks("net.tcp.allow-neighbour.v4", "net.tcp.docker-bridge", "net.tcp.sibling-container")},
	},
	{
		Name: "allowlist-slash-16", Kind: Fixture, On: on(virtio),
		Breaks:    "The allowlist has every bottle's network.",
		Reference: "lessons §2.7 (254 networks side by side); prior-art life.concurrent",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "{allowed/16}"}}},
		Kills:     []Kill{leaks("net.tcp.allow-neighbour.v4", "net.tcp.docker-bridge")},
	},
	{
		Name: "allowlist-gateway", Kind: Fixture, On: on(tsi),
		Breaks:    "The address next to the bundle's is allowed: the gateway of its bridge, which is the host.",
		Reference: "tsi-and-virtio-net §7 row 15; agents-sandbox#144",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "{gateway}"}}},
		Kills:     []Kill{leaks("net.tcp.allow-neighbour.v4", "net.tcp.docker-bridge", "net.udp.canary.v4")},
	},
	{
		Name: "allowlist-lan", Kind: Fixture, On: on(virtio),
		Breaks:    "An address that the host has in its own network is allowed besides.",
		Reference: "smolvm v0.8.1 9362f930 (the host's resolver, often the router of its network, is allowed on every port)",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "{lan}"}}},
		Kills:     []Kill{leaks("net.tcp.lan.v4", "net.tcp.canary.v4", "net.udp.quic", "net.tcp.iouring", "net.tcp.all-ports-sample")},
	},
	{
		Name: "allowlist-ipv6-open", Kind: Fixture, On: on(virtio),
		Breaks:    "::/0 stands beside the bundle's IPv4 address.",
		Reference: "tsi-and-virtio-net §3 (a v6 CIDR that covers ::ffff:0:0/96); smolvm b3a5f520",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "::/0"}}},
		Kills:     []Kill{leaks("net.ipv6.public", "net.ipv6.public.udp", "net.ipv6.metadata", "net.tcp.loopback.v6")},
	},
	{
		Name: "allowlist-metadata", Kind: Fixture, On: on(tsi),
		Breaks:    "169.254.0.0/16 is allowed, on a release that has no floor.",
		Reference: "smolvm#389, smolvm#510; tsi-and-virtio-net §6 (0.8.0 has no floor at all)",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "169.254.0.0/16"}}},
		Kills:     []Kill{leaks("net.tcp.metadata.v4", "net.udp.metadata.v4", "net.dns.metadata")},
	},
	{
		Name: "net-missing", Kind: Fixture, On: on(tsi),
		Breaks:    "The guest is made without --net and without a policy: there is no network, and everything is refused.",
		Reference: "lessons §1.1 and §4 row 3 (--from with --allow-cidr does not imply --net)",
		Edit:      Edit{Args: []Arg{{Flag: "--net", Drop: true}, {Flag: "--allow-cidr", Value: "*", Drop: true}}},
		Kills:     []Kill{{Probes: []string{"net.tcp.allowed.v4"}, Verdict: probes.Overblocked}, unknown("net.tcp.loopback.v4", "net.tcp.testnet.v4")},
	},
	{
		Name: "pack-drops-policy", Kind: Fixture, On: on(tsi),
		Breaks:    "The guest is made --from a pack with --allow-cidr and --net, and the release drops the policy without a word.",
		Reference: "smolvm#892; smolvm v0.8.0 run_from_smolmachine; lessons §4 row 2",
		Edit:      Edit{Pack: true},
		Kills:     []Kill{leaks("net.tcp.loopback.v4", "net.tcp.canary.v4", "net.tcp.testnet.v4")},
	},
	{
		Name: "pack-without-net", Kind: Fixture, On: on(tsi),
		Breaks:    "The guest is made --from a pack with --allow-cidr and no --net: the launch flow that this kit starts from.",
		Reference: "lessons §1.1 (vacuous three times over); lessons §4 rows 2 and 3",
		Edit:      Edit{Pack: true, Args: []Arg{{Flag: "--net", Drop: true}}},
		Kills:     []Kill{{Probes: []string{"net.tcp.allowed.v4"}, Verdict: probes.Overblocked}, unknown("net.tcp.loopback.v4", "net.tcp.testnet.v4")},
	},
	{
		Name: "published-without-policy", Kind: Fixture, On: on(tsi),
		Breaks:    "A published port stands where --net and the policy should: it brings a network, and none of the policy.",
		Reference: "tsi-and-virtio-net §5 (-p without --net is unrestricted egress) and §7 row 26",
		Edit:      Edit{Args: []Arg{{Flag: "--net", Drop: true}, {Flag: "--allow-cidr", Value: "*", Drop: true}, {Flag: "-p", Value: "48213:48213"}}},
		Kills:     []Kill{leaks("net.tcp.loopback.v4", "net.tcp.canary.v4", "net.tcp.testnet.v4")},
	},
}
