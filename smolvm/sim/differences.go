//go:build linux

package sim

// features are the values in which releases differ. Flags that merely appear or vanish carry their own since and until in
// the option tables (grammars.go), JSON fields in machineFields (report.go).
type features struct {
	Release release

	NameFlag           bool // create, delete, data-dir take --name instead of a positional NAME
	StopUnknownFails   bool // stop of an unknown machine is an error
	StatusPrintsState  bool // the text status prints the state word instead of "not running"
	DeleteStops        bool // delete stops a running machine first
	EndsFailedBoot     bool // a start whose guest does not come up ends its _boot-vm
	ReapsOrphans       bool // start and stop kill a supervisor that lost its record
	SignalAsShell      bool // a bare command killed by signal s exits 128+s instead of 255
	OverflowFails      bool // more than execOutputCap of buffered output is an error instead of a truncation
	CreateReserves     bool // a create reserves its name, so that of two racing ones the second fails
	ReadyMarkerPrivate bool // each machine has a readiness marker of its own
	KeepAlive          bool // commands of an image machine join one container instead of sharing one bundle config.json
	TimeoutIgnored     bool // exec --timeout in default mode reaches no command of an image machine
	FrameTooLarge      bool // image machine: over execOutputCap of buffered output breaks the protocol
	ServeFloorStrict   bool // machines started through serve get the strict floor unless SMOLVM_EGRESS_FLOOR is set
	ServeTakesVirtio   bool // machines with a network made through serve take virtio-net unless they name a backend
	DataDirVariable    bool // SMOLVM_DATA_DIR relocates HOME
	FloorVariable      bool // SMOLVM_EGRESS_FLOOR is honoured
	FleetVariables     bool // SMOLVM_PUBLISH_ADDR and SMOLVM_EGRESS_ALLOW_PRIVATE are honoured
	DenialLog          bool // egress-denials.log in the VM directory
	VirtioEnforces     bool // virtio-net can carry a policy at all
	PortsNeedVirtio    bool // published ports are refused on TSI
	PortsSelectVirtio  bool // published ports select virtio-net
	PolicyNeedsVirtio  bool // a policy selects virtio-net, and an explicit tsi next to one is refused
	WideIPv6Hosts      bool // --allow-host opens a whole /32 of IPv6
	InterceptDNS       bool // TSI with --allow-host: the host answers every datagram to port 53
	NameHost           bool // virtio-net: host.smolvm.internal is the gateway
	HostGateway        bool // virtio-net: the gateway's address is the host's loopback
	UnreachableIsFast  bool // virtio-net: an allowed but dead destination is reset at once
	TSIFloor           bool // the floor holds on TSI too
	VirtioFloor        floor
	Resolver           resolver // what a TSI policy lets through besides the list
	DeleteErrorsMatter bool     // a VM directory that cannot be removed keeps the record and fails

	imageFeatures
}

// imageFeatures are those of images and packs.
type imageFeatures struct {
	LaunchesImage          bool // start launches an image's ENTRYPOINT and CMD
	ImageBootsBare         bool // an image without a command starts without a workload instead of failing
	LocalImages            bool // --image takes archives, directories and stdin
	PullNeedsNet           bool // create refuses a registry's image without a network
	PullAllowed            bool // the first pull passes the machine's own policy
	ExecIgnoresUser        bool // a default exec joins the image's container as root
	EmptyImageFails        bool // --image "" is an error instead of no image
	CachedRunIgnoresPolicy bool // machine run --oci-cache forgets the egress policy
	PackKeepsFlags         bool // create --from honours egress flags and -w
	PackKeepsOwners        bool // files of a pack keep their owners
	PackRefusesSuffix      bool // pack create refuses -o x.smolmachine
	PackArchChecked        bool // a pack of another architecture is refused
}

// A floor is what the relay denies whatever the allowlist says.
type floor string

const (
	floorOff      floor = "off"
	floorMetadata floor = "metadata" // link-local only
	floorStrict   floor = "strict"   // link-local, loopback, private, shared and unspecified addresses
)

// A resolver names the address that a TSI policy adds to the allowlist so that names resolve.
type resolver string

const (
	resolverFixed resolver = "1.1.1.1" // ensure_dns_in_cidrs of v0.8.0
	resolverHost  resolver = "host"    // first nameserver of the host that is not loopback, else 1.1.1.1
)

// A difference is one row: from this release on, this holds.
type difference struct {
	since release
	why   string
	apply func(*features)
}

// baseline is v0.8.0.
var baseline = features{VirtioFloor: floorOff, Resolver: resolverFixed, WideIPv6Hosts: true}

// differences is ordered by release; featuresOf applies every row up to the one asked for.
var differences = []difference{
	{release{0, 8, 1}, "stop of an unknown machine becomes an error", func(f *features) { f.StopUnknownFails = true }},
	{release{0, 8, 1}, "#323 delete stops a running VM first", func(f *features) { f.DeleteStops = true }},
	{release{0, 8, 1}, "--image \"\" is refused", func(f *features) { f.EmptyImageFails = true }},
	{release{0, 8, 1}, "bare exec: a signal is 128+n", func(f *features) { f.SignalAsShell = true }},
	{release{0, 8, 1}, "a TSI policy lets the host's resolver through", func(f *features) { f.Resolver = resolverHost }},
	{release{0, 8, 1}, "--allow-host opens single IPv6 addresses", func(f *features) { f.WideIPv6Hosts = false }},
	{release{1, 0, 0}, "#331 libkrun answers DNS under --allow-host", func(f *features) { f.InterceptDNS = true }},
	{release{1, 0, 0}, "status prints the real state word", func(f *features) { f.StatusPrintsState = true }},
	{release{1, 0, 0}, "bare exec: over 11 MiB is an error", func(f *features) { f.OverflowFails = true }},
	{release{1, 0, 0}, "a create reserves its name", func(f *features) { f.CreateReserves = true }},
	{release{1, 0, 0}, "#320 image ENTRYPOINT and CMD are launched at start", func(f *features) { f.LaunchesImage = true }},
	{release{1, 0, 2}, "create and delete take -n/--name", func(f *features) { f.NameFlag = true }},
	{release{1, 0, 2}, "#372 virtio-net enforces a policy when selected", func(f *features) { f.VirtioEnforces = true }},
	{release{1, 0, 2}, "published ports need virtio-net", func(f *features) { f.PortsNeedVirtio = true }},
	{release{1, 0, 4}, "published ports select virtio-net", func(f *features) { f.PortsSelectVirtio = true }},
	{release{1, 0, 4}, "#389 virtio-net floor denies private addresses", func(f *features) { f.VirtioFloor = floorStrict }},
	{release{1, 0, 4}, "SMOLVM_PUBLISH_ADDR, SMOLVM_EGRESS_ALLOW_PRIVATE", func(f *features) { f.FleetVariables = true }},
	{release{1, 1, 0}, "#409 --image takes local archives and directories", func(f *features) { f.LocalImages = true }},
	{release{1, 1, 3}, "#427 any policy selects virtio-net", func(f *features) { f.PolicyNeedsVirtio = true }},
	{release{1, 1, 3}, "#427 the floor shrinks to metadata", func(f *features) { f.VirtioFloor = floorMetadata }},
	{release{1, 2, 2}, "a pack's architecture is checked", func(f *features) { f.PackArchChecked = true }},
	{release{1, 2, 5}, "a readiness marker per machine", func(f *features) { f.ReadyMarkerPrivate = true }},
	{release{1, 2, 5}, "SMOLVM_DATA_DIR", func(f *features) { f.DataDirVariable = true }},
	{release{1, 3, 3}, "#510 the floor holds on TSI", func(f *features) { f.TSIFloor = true }},
	{release{1, 3, 5}, "the first pull passes the machine's policy", func(f *features) { f.PullAllowed = true }},
	{release{1, 3, 9}, "#536 SMOLVM_EGRESS_FLOOR", func(f *features) { f.FloorVariable = true }},
	{release{1, 3, 9}, "#536 serve start is strict", func(f *features) { f.ServeFloorStrict = true }},
	{release{1, 4, 1}, "#542 a keep-alive container for default execs", func(f *features) { f.KeepAlive = true }},
	{release{1, 4, 1}, "exec --timeout is lost on the way to the container", func(f *features) { f.TimeoutIgnored = true }},
	{release{1, 4, 1}, "#670 no guard on the output of a joined exec", func(f *features) { f.FrameTooLarge = true }},
	{release{1, 4, 1}, "execs that join the container run as root", func(f *features) { f.ExecIgnoresUser = true }},
	{release{1, 5, 0}, "#583 a start whose guest does not come up kills its _boot-vm", func(f *features) { f.EndsFailedBoot = true }},
	{release{1, 5, 0}, "#583 start and stop kill an orphaned _boot-vm", func(f *features) { f.ReapsOrphans = true }},
	{release{1, 6, 0}, "#624 execs that join honour the image's USER", func(f *features) { f.ExecIgnoresUser = false }},
	{release{1, 6, 12}, "#670 over 11 MiB is an error again", func(f *features) { f.FrameTooLarge = false }},
	{release{1, 7, 0}, "exec --timeout reaches the container again", func(f *features) { f.TimeoutIgnored = false }},
	{release{1, 7, 0}, "#691 pack create refuses the sidecar's suffix", func(f *features) { f.PackRefusesSuffix = true }},
	{release{1, 7, 2}, "#784 the gateway's address is the host's loopback", func(f *features) { f.HostGateway = true }},
	{release{1, 7, 2}, "#788 delete reports what it could not remove", func(f *features) { f.DeleteErrorsMatter = true }},
	{release{1, 7, 3}, "a registry's image without a network is refused at create", func(f *features) { f.PullNeedsNet = true }},
	{release{1, 7, 3}, "#966 a run of a cached image ignores the policy", func(f *features) { f.CachedRunIgnoresPolicy = true }},
	{release{1, 7, 5}, "serve: networked machines take virtio-net", func(f *features) { f.ServeTakesVirtio = true }},
	{release{1, 8, 0}, "create --from keeps egress flags (smolmachine_egress_fields)", func(f *features) { f.PackKeepsFlags = true }},
	{release{1, 8, 1}, "#938 packs keep file ownership", func(f *features) { f.PackKeepsOwners = true }},
	{release{1, 8, 1}, "egress-denials.log", func(f *features) { f.DenialLog = true }},
	{release{1, 8, 3}, "#963 host.smolvm.internal", func(f *features) { f.NameHost = true }},
	{release{1, 9, 0}, "#972 a run of a cached image keeps the policy", func(f *features) { f.CachedRunIgnoresPolicy = false }},
	{release{1, 9, 0}, "#985 an image without a command boots", func(f *features) { f.ImageBootsBare = true }},
	{release{1, 9, 0}, "#981 an unreachable destination fails fast", func(f *features) { f.UnreachableIsFast = true }},
}

func featuresOf(r release) features {
	f := baseline
	f.Release = r
	for _, d := range differences {
		if r.atLeast(d.since) {
			d.apply(&f)
		}
	}
	return f
}
