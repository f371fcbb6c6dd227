package mutants

import "bottle.internal/probes"

// virtioTwin is a sound bottle with a twin beside its guest.
var virtioTwin = Base{Version: "1.9.3", Topology: "bridge", Twin: true}

// harnessMutants are bottles whose walls may stand, and of which a broken prober tells that they do.
var harnessMutants = []Mutant{
	{
		Name: "canaries-closed", Kind: Fixture, On: on(virtio),
		Breaks:    "Nothing listens behind the host's addresses.",
		Reference: "lessons §1.1: port 9 had no listener anywhere, refused in every configuration; lesson F0",
		Edit:      Edit{Canaries: ClosedCanaries},
		Kills:     []Kill{unknown("net.tcp.loopback.v4", "net.tcp.canary.v4", "net.ipv6.canary", "proxy.deny.connect")},
	},
	{
		Name: "agent-that-dials-nothing", Kind: Fixture, On: on(virtio),
		Breaks:    "The prober says of every attempt that it was denied, and made none.",
		Reference: "prior-art §4 rule 1: guest claims alone cannot clear a leak",
		Edit:      Edit{Agent: IdleLiar},
		Kills:     []Kill{unknown("net.tcp.loopback.v4", "net.tcp.canary.v4", "net.tcp.testnet.v4")},
	},
	{
		Name: "agent-that-denies", Kind: Fixture, On: on(virtio),
		Breaks:    "The policy is not enforced, and the prober says of what it reached that it was denied.",
		Reference: "prior-art §4 rules 1 and 8: guest output is untrusted",
		Edit:      Edit{Faults: []string{"allowlist-ignored"}, Agent: BusyLiar},
		Kills:     []Kill{leaks("net.tcp.loopback.v4", "net.tcp.canary.v4", "net.tcp.testnet.v4", "net.udp.canary.v4")},
	},
	{
		Name: "agent-that-says-nothing", Kind: Fixture, On: on(virtio),
		Breaks:    "The prober ends well and has no answer.",
		Reference: "prior-art §4 rule 8: extra, missing or duplicate ids are probe errors",
		Edit:      Edit{Agent: Mute},
		Kills:     []Kill{{Probes: []string{"net.tcp.*", "net.unix.host-path", "env.*", "cred.*", "proxy.*"}, Verdict: probes.Error}},
	},
	{
		Name: "agent-that-cannot-look", Kind: Fixture, On: on(virtio),
		Breaks:    "The prober is older than its batch, and has no way to look at what it is asked about.",
		Reference: "house rules 4 (not checked is never no); prior-art §4 (unsupported is an observation, and no containment)",
		Edit:      Edit{Agent: Deaf},
		Kills:     []Kill{unknown("cred.files.decoy", "fs.host-canary.read", "env.decoy", "fs.symlink.escape", "fs.mounts.exact", "net.unix.inventory", "proc.host-visible")},
	},
	{
		Name: "world-gone", Kind: Fixture, On: on(virtioAlias),
		Breaks:    "What stands in for the internet takes no connections any more.",
		Reference: "prior-art §4 C1: a target that is not alive after the attempts voids them",
		Edit:      Edit{World: WorldGone},
		Kills:     []Kill{unknown("net.tcp.public.v4", "net.tcp.metadata.v4", "net.udp.public.v4")},
	},
	{
		Name: "twin-with-policy", Kind: Fixture, On: on(virtioTwin),
		Breaks:    "The twin has a policy too, so that what it does not reach shows nothing.",
		Reference: "prior-art §5.1 and C3: the flip is the proof that the probe can reach its canary",
		Edit:      Edit{Args: []Arg{{Flag: "--allow-cidr", Value: "198.51.100.1/32", Twin: true}}},
		Kills:     []Kill{{Probes: []string{"net.tcp.canary.v4", "net.tcp.public.v4", "net.ipv6.canary"}, Control: "C3"}},
	},
}
