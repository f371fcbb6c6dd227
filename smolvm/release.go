package smolvm

// A feature is something that one release of smolvm does and another does not. What this client does differently from release to
// release is decided by the table below and nowhere else; releases newer than the table count as the newest in it.
type feature int

const (
	supported feature = iota
	nameFlag
	deleteStops
	privateFloor
	publishAddr
	localImage
	virtioEnforces
	policyForcesVirtio
	readyPerMachine
	floorVariable
	deleteConfirms
	fromKeepsPolicy
	labels
	copyMode
	execDetach
	execJoins
	denialLog
	updatePolicy
	gatewayIsHost
	tsiFloor
	resolverOfHost
	fleetFloor
	serveStrict
	bootFailureKills
	portsNeedVirtio
	featureCount
)

// A span of releases: from since on, and before the release before (zero: no end).
type span struct {
	since, before Version
	source        string // where the fact is from, and what it means
}

var features = [featureCount]span{
	supported: {since: release(0, 8, 0),
		source: "v0.8.0: `status --json` is new; nothing older was read"},
	nameFlag: {since: release(1, 0, 2),
		source: "v1.0.2: create and delete take --name; before, a positional NAME; neither spelling works on both sides"},
	deleteStops: {since: release(0, 8, 1),
		source: "v0.8.1 (#323): delete stops a running machine; v0.8.0 machine.rs stop_if_running: false leaves its VMM behind"},
	privateFloor: {since: release(1, 0, 4), before: release(1, 1, 3),
		source: "v1.0.4 (#389) egress.rs: virtio-net denies RFC 1918 even if listed, unless SMOLVM_EGRESS_ALLOW_PRIVATE=1; gone in v1.1.3"},
	publishAddr: {since: release(1, 0, 4),
		source: "v1.0.4: SMOLVM_PUBLISH_ADDR says where ports are published, selects virtio-net and turns the floor strict"},
	localImage: {since: release(1, 1, 0),
		source: "v1.1.0 (#409): --image takes a tar or a directory; before, a registry reference only, failing at the first start"},
	virtioEnforces: {since: release(1, 0, 2),
		source: "v1.0.2 network/launch.rs: virtio-net can enforce a policy; before, a policy with --net-backend virtio-net is refused"},
	policyForcesVirtio: {since: release(1, 1, 3),
		source: "v1.1.3 (#427) network/launch.rs: any policy selects virtio-net; explicit tsi with one is refused"},
	readyPerMachine: {since: release(1, 2, 5),
		source: "v1.2.5: ready marker per machine; v0.8.0 manager.rs has one in the shared rootfs, so parallel starts see each other's"},
	floorVariable: {since: release(1, 3, 9),
		source: "v1.3.9 (#536) egress.rs: SMOLVM_EGRESS_FLOOR pins the floor against every other variable"},
	deleteConfirms: {since: release(1, 7, 2),
		source: "v1.7.2 (#788): a failing delete fails; before, it warns, prints \"Deleted machine\" and exits 0"},
	fromKeepsPolicy: {since: release(1, 8, 0),
		source: "v1.8.0 smolmachine_egress_fields; v0.8.0 run_from_smolmachine sets allowed_cidrs: None and ignores -w"},
	labels: {since: release(1, 8, 0),
		source: "v1.8.0: --label on create and labels in the JSON"},
	copyMode: {since: release(1, 9, 0),
		source: "v1.9.0 (#997): cp --mode, and uploads are where the workload sees them; before, 0644 and to be checked"},
	execDetach: {since: release(1, 3, 0),
		source: "v1.3.0: exec -d prints a PID and returns"},
	execJoins: {since: release(1, 4, 1),
		source: "v1.4.1 (#542): execs join a container that keeps running; before, they share one bundle's config.json (v0.8.0 storage.rs; #199, #216)"},
	denialLog: {since: release(1, 8, 1),
		source: "v1.8.1: machine egress-events [--json]"},
	updatePolicy: {since: release(1, 10, 0),
		source: "#1299, later than v1.9.3: update --allow-cidr and its kin; the exact first release was not established"},
	gatewayIsHost: {since: release(1, 7, 2),
		source: "v1.7.2 (#784): the gateway's address on virtio-net is the host's loopback"},
	tsiFloor: {since: release(1, 3, 3),
		source: "v1.3.3 (#510): a floor in libkrun for TSI"},
	resolverOfHost: {since: release(0, 8, 1),
		source: "v0.8.1 data/network.rs: a TSI policy lets the host's resolver through; v0.8.0 ensure_dns_in_cidrs: 1.1.1.1"},
	fleetFloor: {since: release(1, 1, 3), before: release(1, 3, 9),
		source: "v1.1.3 egress.rs: SMOLVM_PUBLISH_ADDR turns the floor strict and only SMOLVM_EGRESS_ALLOW_PRIVATE=1 undoes it, to no floor at all"},
	serveStrict: {since: release(1, 3, 9),
		source: "v1.3.9 serve.rs: serve start sets SMOLVM_EGRESS_FLOOR=strict unless the variable is set"},
	portsNeedVirtio: {since: release(1, 0, 2),
		source: "v1.0.2 network/launch.rs: published ports require virtio-net, or the start fails; v1.0.4 selects it for them"},
	bootFailureKills: {since: release(1, 5, 0),
		source: "v1.5.0 (#583): a start whose guest does not come up kills its _boot-vm; before, it stays, and delete takes its directory away"},
}

func release(major, minor, patch int) Version {
	return Version{Major: major, Minor: minor, Patch: patch}
}

func (v Version) has(f feature) bool {
	s := features[f]
	if s.before != (Version{}) && v.AtLeast(s.before.Major, s.before.Minor, s.before.Patch) {
		return false
	}
	return v.AtLeast(s.since.Major, s.since.Minor, s.since.Patch)
}
