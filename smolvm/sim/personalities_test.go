//go:build linux

package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// expected is what each release that may be asked for does, spelled out: the rows of differences must add up to it.
var expected = map[string]features{
	"0.8.0": {VirtioFloor: floorOff, Resolver: resolverFixed},
	"0.8.1": {StopUnknownFails: true, DeleteStops: true, SignalAsShell: true, VirtioFloor: floorOff, Resolver: resolverHost},
	"1.0.2": {
		StopUnknownFails: true, DeleteStops: true, SignalAsShell: true, StatusPrintsState: true, OverflowFails: true, CreateReserves: true,
		NameFlag: true, VirtioEnforces: true, VirtioFloor: floorOff, Resolver: resolverHost,
	},
	"1.0.4": {
		StopUnknownFails: true, DeleteStops: true, SignalAsShell: true, StatusPrintsState: true, OverflowFails: true, CreateReserves: true,
		NameFlag: true, VirtioEnforces: true, FleetVariables: true, VirtioFloor: floorStrict, Resolver: resolverHost,
	},
	"1.1.3": {
		StopUnknownFails: true, DeleteStops: true, SignalAsShell: true, StatusPrintsState: true, OverflowFails: true, CreateReserves: true,
		NameFlag: true, VirtioEnforces: true, FleetVariables: true, PolicyNeedsVirtio: true, VirtioFloor: floorMetadata, Resolver: resolverHost,
	},
	"1.2.5": {
		StopUnknownFails: true, DeleteStops: true, SignalAsShell: true, StatusPrintsState: true, OverflowFails: true, CreateReserves: true,
		NameFlag: true, VirtioEnforces: true, FleetVariables: true, PolicyNeedsVirtio: true, VirtioFloor: floorMetadata, Resolver: resolverHost,
		DataDirVariable: true, ReadyMarkerPrivate: true,
	},
	"1.4.1": {
		StopUnknownFails: true, DeleteStops: true, SignalAsShell: true, StatusPrintsState: true, OverflowFails: true, CreateReserves: true,
		NameFlag: true, VirtioEnforces: true, FleetVariables: true, PolicyNeedsVirtio: true, VirtioFloor: floorMetadata, Resolver: resolverHost,
		DataDirVariable: true, ReadyMarkerPrivate: true, TSIFloor: true, FloorVariable: true, ServeFloorStrict: true,
		KeepAlive: true, TimeoutIgnored: true, FrameTooLarge: true,
	},
	"1.7.2": {
		StopUnknownFails: true, DeleteStops: true, SignalAsShell: true, StatusPrintsState: true, OverflowFails: true, CreateReserves: true,
		NameFlag: true, VirtioEnforces: true, FleetVariables: true, PolicyNeedsVirtio: true, VirtioFloor: floorMetadata, Resolver: resolverHost,
		DataDirVariable: true, ReadyMarkerPrivate: true, TSIFloor: true, FloorVariable: true, ServeFloorStrict: true,
		KeepAlive: true, ReapsOrphans: true, HostGateway: true, DeleteErrorsMatter: true,
	},
	"1.8.0": {
		StopUnknownFails: true, DeleteStops: true, SignalAsShell: true, StatusPrintsState: true, OverflowFails: true, CreateReserves: true,
		NameFlag: true, VirtioEnforces: true, FleetVariables: true, PolicyNeedsVirtio: true, VirtioFloor: floorMetadata, Resolver: resolverHost,
		DataDirVariable: true, ReadyMarkerPrivate: true, TSIFloor: true, FloorVariable: true, ServeFloorStrict: true,
		KeepAlive: true, ReapsOrphans: true, HostGateway: true, DeleteErrorsMatter: true,
	},
	"1.9.3": {
		StopUnknownFails: true, DeleteStops: true, SignalAsShell: true, StatusPrintsState: true, OverflowFails: true, CreateReserves: true,
		NameFlag: true, VirtioEnforces: true, FleetVariables: true, PolicyNeedsVirtio: true, VirtioFloor: floorMetadata, Resolver: resolverHost,
		DataDirVariable: true, ReadyMarkerPrivate: true, TSIFloor: true, FloorVariable: true, ServeFloorStrict: true,
		KeepAlive: true, ReapsOrphans: true, HostGateway: true, DeleteErrorsMatter: true, DenialLog: true, UnreachableIsFast: true,
	},
}

func TestPersonalities(t *testing.T) {
	if len(expected) != len(simulated) {
		t.Errorf("%d releases may be asked for, %d are expected", len(simulated), len(expected))
	}
	for _, name := range simulated {
		got, err := personality(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := expected[name]
		want.Release = got.Release
		if diff := cmp.Diff(want, got); diff != "" || got.Release.String() != name {
			t.Errorf("%s is %s (-want +got):\n%s", name, got.Release, diff)
		}
	}
}

// surface is all in which a release differs from another: its features, commands, options and JSON fields.
func surface(f features) string {
	var b strings.Builder
	for _, c := range subcommands(f) {
		fmt.Fprintf(&b, "%v %v\n", c.names, c.grammar.usage())
		for _, o := range c.grammar.options {
			fmt.Fprintf(&b, "  -%c %s\n", o.short, o.shown())
		}
	}
	for _, fl := range machineFields {
		if f.Release.atLeast(fl.since) {
			fmt.Fprintln(&b, fl.key)
		}
	}
	f.Release = release{}
	fmt.Fprintf(&b, "%+v\n", f)
	return b.String()
}

func TestAdjacentPersonalitiesDiffer(t *testing.T) {
	if !slices.IsSortedFunc(simulated, func(a, b string) int {
		return slices.Compare(releaseOf(t, a), releaseOf(t, b))
	}) {
		t.Error("the releases are not in order")
	}
	for i, name := range simulated[1:] {
		before := surface(atRelease(t, simulated[i]))
		if surface(atRelease(t, name)) == before {
			t.Errorf("%s is %s under another name", name, simulated[i])
		}
	}
}

func releaseOf(t *testing.T, s string) []int {
	t.Helper()
	r, err := parseRelease(s)
	if err != nil {
		t.Fatal(err)
	}
	return r[:]
}
