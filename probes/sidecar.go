package probes

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

const (
	actSidecar = "sidecar"
	sidecarID  = "priv.sidecar"
)

// A Confinement is what keeps a sidecar in, as one witness has it.
type Confinement struct {
	// Witness is who says so.
	Witness string
	// Root says that it runs as root. User is as the witness calls it.
	Root bool
	User string
	// Capabilities are all that it has or can get; nil is none.
	Capabilities []string
	// Escalates says that a program it starts may have more privileges than it.
	Escalates bool
	// Unfiltered says that every system call is open to it.
	Unfiltered bool
	// Writable says that its root filesystem is.
	Writable bool
	// Sockets are those of the engine that runs it.
	Sockets []string
	// Shared is what of the host's it is in: namespaces, or all of it.
	Shared []string
}

// sidecarProbes look at the sidecar instead of the sandbox.
var sidecarProbes = []Probe{
	{
		ID: sidecarID, Family: "priv", Severity: High, Expect: Contain, act: actSidecar, most: L2,
		lacks: func(s Site) string {
			if s.Sidecar == nil {
				return s.withheld("the site has no sidecar that anybody could say this of: one that is a machine is kept in by its kernel")
			}
			return ""
		},
		What: "Compare what keeps the sidecar in with what should: no capabilities, no way to more privileges, a filter of system calls, a root filesystem that is read-only, " +
			"no root, no socket of the engine, no namespace of the host's.",
		Why:     "The sidecar holds the credentials and takes the guest's requests. Whoever breaks into it should find nothing to stand on, least of all the engine that runs it.",
		Control: "Two witnesses are asked, who know it from different sides, and have to agree: the engine's record of the container, and the kernel of PID 1 in it.",
		Remedy:  "Run it with --cap-drop ALL, --read-only, --security-opt no-new-privileges, as a user, with the default seccomp profile, and without the engine's socket.",
		Source:  "docker-bench; lessons of sidecars with docker.sock in them", Where: "Where the sidecar is a container.",
	},
}

// playSidecar asks everybody who knows the sidecar.
func playSidecar(ctx context.Context, s *stage, wanted []Probe) []Finding {
	all, err := s.site.Sidecar(ctx)
	if err != nil {
		return failing(wanted, "the sidecar could not be looked at: "+plainText(err.Error()))
	}
	return []Finding{testified{wanted[0], all, s.opts.Kills[sidecarID], s.opts.Kit}.judge()}
}

// testified is what the judge may look at for a sidecar.
type testified struct {
	probe     Probe
	witnesses []Confinement
	kills     []string
	kit       string
}

// judge compares. It is a pure function.
func (q testified) judge() Finding {
	f := blank(q.probe)
	var stray, names []string
	for _, c := range q.witnesses {
		names = append(names, c.Witness)
		for _, s := range c.strays() {
			stray = append(stray, fmt.Sprintf("%s, says %s", s, c.Witness))
		}
	}
	apart := q.disagreement()
	r := rule(Contained, "%s have the sidecar without capabilities, without root, with a filter of its calls, and with a read-only root", strings.Join(names, " and "))
	switch {
	case len(stray) > 0:
		r = rule(Leak, "the sidecar %s", strings.Join(stray, "; it "))
	case len(q.witnesses) < 2:
		r = rule(Inconclusive, "C4: one witness alone shows nothing: %q", names)
	case apart != "":
		r = rule(Inconclusive, "C4: %s", apart)
	}
	f.Verdict, f.Reason = r.Verdict, r.Reason
	f.Controls = q.controls(strings.Join(names, " and "), apart)
	f.Assurance = assurance(f.Controls)
	return f
}

// strays are what the sidecar has too much, in words that follow its name.
func (c Confinement) strays() []string {
	var all []string
	for _, one := range []struct {
		bad  bool
		text string
	}{
		{len(c.Capabilities) > 0, "has capabilities: " + strings.Join(c.Capabilities, ", ")},
		{c.Root, "runs as root"},
		{c.Escalates, "can gain privileges (no_new_privs is not set)"},
		{c.Unfiltered, "has every system call open (no seccomp filter)"},
		{c.Writable, "can write to its root filesystem"},
		{len(c.Sockets) > 0, "has the engine's socket: " + strings.Join(c.Sockets, ", ")},
		{len(c.Shared) > 0, "shares: " + strings.Join(c.Shared, ", ")},
	} {
		if one.bad {
			all = append(all, one.text)
		}
	}
	return all
}

// disagreement is in what the witnesses differ beyond what they find too much, "" if in nothing.
func (q testified) disagreement() string {
	for _, c := range q.witnesses {
		if first := q.witnesses[0]; c.User != first.User {
			return fmt.Sprintf("%s has the sidecar run as %q, and %s as %q", first.Witness, first.User, c.Witness, c.User)
		}
	}
	return ""
}

func (q testified) controls(names, apart string) []Control {
	agree := held("%s agree", names)
	if apart != "" || len(q.witnesses) < 2 {
		agree = failed("%s do not agree, or are one", names)
	}
	all := []Control{
		held("the sidecar itself was asked").control("C0"),
		held("the sidecar runs, and %s say so", names).control("C1"),
		held("what every process has was read: a user, a root filesystem").control("C2"),
		notChecked("a sidecar has no twin").control("C3"),
		agree.control("C4"),
		question{kills: q.kills, kit: q.kit}.killed().control("C5"),
	}
	if len(q.witnesses) == 0 || slices.ContainsFunc(q.witnesses, func(c Confinement) bool { return c.User == "" }) {
		all[2] = failed("not even a user was read").control("C2")
	}
	return all
}
