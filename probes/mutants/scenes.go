package mutants

// sceneMutants are bottles that one batch does not tell from sound ones.
var sceneMutants = []Mutant{
	{
		Name: "policy-lost-at-restart", Kind: SimulatorFault, On: on(tsi, virtio), Scenes: true,
		Breaks:    "A machine that is started a second time starts without its policy.",
		Reference: "smolvm#1212 (a round trip by a pack lost the policy); lessons §4 row 7 (agent.config.json is removed on stop)",
		Edit:      Edit{Faults: []string{"policy-lost"}},
		Kills:     []Kill{leaks("life.restart", "net.tcp.boot-window")},
	},
	{
		Name: "policy-lapses", Kind: SimulatorFault, On: on(virtio), Scenes: true,
		Breaks:    "Some seconds after it has stopped a few flows the policy stops none.",
		Reference: "network-policy-api#273 (a window in which a workload is unprotected); prior-art life.time",
		Edit:      Edit{Faults: []string{"policy-lapses"}},
		Kills:     []Kill{leaks("life.time")},
	},
	{
		Name: "pack-without-policy", Kind: SimulatorFault, On: on(tsi, virtio), Scenes: true,
		Breaks:    "A machine that is made from a pack has its policy on record, and none is enforced.",
		Reference: "smolvm#1212 (a round trip by a pack lost the policy); smolvm v0.8.0 run_from_smolmachine",
		Edit:      Edit{Faults: []string{"pack-forgets"}},
		Kills:     []Kill{leaks("life.pack")},
	},
	{
		Name: "disk-outlives-machine", Kind: SimulatorFault, On: on(virtio), Scenes: true,
		Breaks:    "A machine that is deleted is forgotten, and its disk is left where it was.",
		Reference: "melodic isolation-probe (canaries looked for after teardown); prior-art fs.postteardown",
		Edit:      Edit{Faults: []string{"delete-leaves-data"}},
		Kills:     []Kill{leaks("fs.postteardown")},
	},
	{
		Name: "policy-comes-late", Kind: SimulatorFault, On: on(virtio), Scenes: true,
		Breaks:    "The policy is in force two seconds after the start, and not before.",
		Reference: "network-policy-api#273; ovn-kubernetes#6376 (a window before a deny is programmed)",
		Edit:      Edit{Faults: []string{"policy-late"}},
		Kills:     []Kill{leaks("net.tcp.boot-window")},
	},
	{
		Name: "loopback-shared", Kind: SimulatorFault, On: on(tsi), Scenes: true,
		Breaks:    "A guest's loopback is the host's, and so every other guest's.",
		Reference: "libkrun#860; A3S-Lab/Box#371; tsi-and-virtio-net §5",
		Edit:      Edit{Faults: []string{"loopback-shared"}},
		Kills:     []Kill{leaks("net.inbound.cross-vm-port", "net.tcp.peer-vm")},
	},
	{
		Name: "policies-shared", Kind: SimulatorFault, On: on(virtio), Scenes: true,
		Breaks:    "A machine may reach what any other machine of its user may.",
		Reference: "httpjail (concurrent sandboxes); prior-art life.concurrent",
		Edit:      Edit{Faults: []string{"policies-shared"}},
		Kills:     []Kill{leaks("life.concurrent")},
	},
	{
		Name: "sidecar-has-engine-socket", Kind: Container, On: on(virtio), Scenes: true,
		Breaks:    "The sidecar has the socket of the container engine that runs it: whoever breaks into it has the host.",
		Reference: "docker-bench 5.31; prior-art §5.3 (docker.sock in the sidecar)",
		Edit:      Edit{Container: EngineSocket},
		Kills:     []Kill{leaks("priv.sidecar")},
	},
	{
		Name: "sidecar-unconfined", Kind: Container, On: on(virtio), Scenes: true,
		Breaks:    "The sidecar has the engine's capabilities and one more, every system call, and a root filesystem that it can write to.",
		Reference: "docker-bench 5.3, 5.12, 5.21; prior-art priv.sidecar",
		Edit:      Edit{Container: Unconfined},
		Kills:     []Kill{leaks("priv.sidecar")},
	},
	{
		Name: "empty-allowlist-open", Kind: SimulatorFault, On: on(tsi, virtio), Scenes: true,
		Breaks:    "An allowlist without an entry is taken for no allowlist.",
		Reference: "tidebreak#888; prior-art §2.1 (allowed_cidrs=[] and the planner)",
		Edit:      Edit{Faults: []string{"empty-allowlist-open"}},
		Kills:     []Kill{leaks("policy.empty-allowlist")},
	},
	{
		Name: "other-backend", Kind: SimulatorFault, On: on(virtio), Scenes: true,
		Breaks:    "The policy is carried by tsi, on a release that says it is virtio-net's.",
		Reference: "smolvm v1.9.3 network/launch.rs (a non-allowed IP stayed reachable on tsi); prior-art policy.backend",
		Edit:      Edit{Faults: []string{"other-backend"}},
		Kills:     []Kill{leaks("policy.backend")},
	},
	{
		Name: "fails-open", Kind: SimulatorFault, On: on(virtio, virtioAlias), Scenes: true,
		Breaks:    "While the sidecar answers nothing, the policy is not in force.",
		Reference: "srt and codex (managed proxies that fail closed); prior-art proxy.fail-closed",
		Edit:      Edit{Faults: []string{"fail-open"}},
		Kills:     []Kill{leaks("proxy.fail-closed")},
	},
}
