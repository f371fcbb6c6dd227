package mutants

import (
	"fmt"
	"slices"
	"strings"

	"bottle.internal/probes"
)

// A Kind is where a bottle was broken.
type Kind string

// The kinds of mutants.
const (
	SimulatorFault Kind = "simulator-fault" // the simulated engine does not do what it says
	Fixture        Kind = "fixture"         // the launch asks for the wrong thing, or the prober's own parts fail
	Bundle         Kind = "bundle"          // the sidecar's program or settings
	Container      Kind = "container"       // what the sidecar's container may do, or where it is
)

// A Mutant is a bottle broken in one way. It is plain data.
type Mutant struct {
	Name      string `json:"name"`
	Kind      Kind   `json:"kind"`
	Breaks    string `json:"breaks"`    // what is broken, in a sentence
	Reference string `json:"reference"` // where the failure was seen in public, or the rule that it breaks
	Edit      Edit   `json:"edit"`
	// On are the bottles that it is made of, one run for each.
	On []Base `json:"on"`
	// Kills are the probes that have to turn red, all of them.
	Kills []Kill `json:"kills,omitempty"`
	// RefusedAt is the step of the launch that has to refuse the bottle, so that there is nothing to probe; "" is none.
	RefusedAt string `json:"refused_at,omitempty"`
	// Scenes plays the scenes of the catalogue too: for what only they can tell, since they take their time.
	Scenes bool `json:"scenes,omitempty"`
	// Limit says what this mutant cannot show, or why it cannot run where a Base of it does not apply; "" is nothing.
	Limit string `json:"limit,omitempty"`
}

// A Base is a sound bottle: what a mutant is compared with.
type Base struct {
	Version  string `json:"version"`  // the release that the simulator imitates
	Topology string `json:"topology"` // "bridge" or "alias"
	Twin     bool   `json:"twin,omitempty"`
}

// String is the base in a word, such as "0.8.0-bridge".
func (b Base) String() string {
	s := b.Version + "-" + b.Topology
	if b.Twin {
		s += "-twin"
	}
	return s
}

// A Kill is what has to be seen of a mutant.
type Kill struct {
	// Probes are ids or patterns, as probes.Select takes them.
	Probes []string `json:"probes"`
	// Verdict is the one that is right; "" where a control is named.
	Verdict probes.Verdict `json:"verdict,omitempty"`
	// Control is one that must not hold, "C3" say, although it holds in the sound bottle. "" is none.
	Control string `json:"control,omitempty"`
}

// An Edit is what is done to a sound bottle. The zero Edit breaks nothing.
type Edit struct {
	// Faults are the simulator's.
	Faults []string `json:"faults,omitempty"`
	// Args edit the command line by which the guest is made.
	Args []Arg `json:"args,omitempty"`
	// Pack makes the guest from a pack, by the command line.
	Pack bool `json:"pack,omitempty"`
	// Daemons replace those of the bundle; nil keeps them.
	Daemons []string `json:"daemons,omitempty"`
	// Listen moves daemons of the bundle, and Publish publishes ports of it.
	Listen  map[string]string `json:"listen,omitempty"`
	Publish []uint16          `json:"publish,omitempty"`
	// ProxyAllow is what the proxy lets through.
	ProxyAllow []string `json:"proxy_allow,omitempty"`
	// Source rewrites the program of the bundle before it is built.
	Source []Source `json:"source,omitempty"`
	// Container changes the sidecar's container.
	Container ContainerEdit `json:"container,omitempty"`
	// Agent takes the place of the prober in the guest.
	Agent Agent `json:"agent,omitempty"`
	// Canaries and World are what stands on the host's side.
	Canaries Canaries `json:"canaries,omitempty"`
	World    World    `json:"world,omitempty"`
}

// An Arg is an edit of a command line. In Value {allowed} is the allowed address, {allowed/24} the prefix of that length around it,
// {gateway} the address before it, and {lan} an address of this host's.
type Arg struct {
	Flag  string `json:"flag"`
	Value string `json:"value,omitempty"` // "" is a flag without one
	Drop  bool   `json:"drop,omitempty"`  // it is taken out wherever it stands, whatever its value; false adds it
	// Twin edits the twin's command line and not the guest's.
	Twin bool `json:"twin,omitempty"`
}

// A Source is a piece of a source file and what stands in its place.
type Source struct {
	File string `json:"file"` // from the module's root
	Old  string `json:"old"`  // it has to be there once
	New  string `json:"new"`
}

// A ContainerEdit is a change of the sidecar's container; "" is none.
type ContainerEdit string

// The changes of a container.
const (
	PublishedEverywhere ContainerEdit = "published-everywhere" // its ports are bound at every address of the host
	LogNowhere          ContainerEdit = "log-nowhere"          // the engine keeps nothing of what it prints
	EngineSocket        ContainerEdit = "engine-socket"        // it has the socket of the engine that runs it
	Unconfined          ContainerEdit = "unconfined"           // it has capabilities, every system call, and may write to its root
)

// An Agent is what takes the place of the prober; "" is the prober itself.
type Agent string

// The agents that are none.
const (
	IdleLiar Agent = "idle-liar" // dials nothing and says that all was denied
	BusyLiar Agent = "busy-liar" // dials, and denies what it reached
	Mute     Agent = "mute"      // ends well and says nothing
	Deaf     Agent = "deaf"      // dials, and has no way to look at anything
)

// Canaries say what is wrong with them; "" is nothing.
type Canaries string

// ClosedCanaries gave their ports back before the guest could dial them.
const ClosedCanaries Canaries = "closed"

// A World says what is wrong with what stands in for the internet; "" is nothing.
type World string

// WorldGone is a world that nobody can connect to any more.
const WorldGone World = "gone"

// Relaunches reports whether the edit needs a launch of its own: without one the mutant is made of a bottle that is up.
func (e Edit) Relaunches() bool {
	return len(e.Faults) > 0 || len(e.Args) > 0 || e.Pack || e.Daemons != nil || len(e.Listen) > 0 || len(e.Publish) > 0 ||
		len(e.ProxyAllow) > 0 || len(e.Source) > 0 || e.Container != ""
}

// Bases are those that the mutants of all are made of, each once, in the order of their names.
func Bases(all []Mutant) []Base {
	var bases []Base
	for _, m := range all {
		bases = append(bases, m.On...)
	}
	slices.SortFunc(bases, func(a, b Base) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(bases)
}

// Seen is an error if args do not show the edit. value is the edit's with its names filled in.
func (a Arg) Seen(args []string, value string) error {
	for i, arg := range args {
		if arg != a.Flag {
			continue
		}
		switch {
		case a.Drop:
			return fmt.Errorf("%s is still in %q", a.Flag, args)
		case value == "", i+1 < len(args) && args[i+1] == value:
			return nil
		}
	}
	if !a.Drop {
		return fmt.Errorf("%s %s is not in %q", a.Flag, value, args)
	}
	return nil
}
