package probecli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bottle.internal/probes"
	"bottle.internal/probes/profiles"
)

// judgement says what is demanded of a report and which leaks are known.
type judgement struct {
	profile string // a builtin's name, a path, "auto" for the engine's own, or "" for none
	waivers string // the path of a profile whose waivers are taken besides
	strict  bool   // demand what profile strict demands
}

// noProfile is the name of what demands nothing.
const noProfile = "no profile"

// auto is the profile of the release that was probed.
const auto = "auto"

// check refuses what cannot be read before anything is launched.
func (j judgement) check() error {
	if _, err := j.of("smolvm 0.0.0"); err != nil {
		return usage(err)
	}
	return nil
}

// of is the profile for an engine's version.
func (j judgement) of(version string) (profiles.Profile, error) {
	p, err := j.base(version)
	if err == nil && j.strict {
		err = demandStrict(&p)
	}
	if err != nil || j.waivers == "" {
		return p, err
	}
	more, err := profiles.Load(j.waivers)
	if err != nil {
		return profiles.Profile{}, err
	}
	p.Name += " and " + more.Name
	p.Waivers = slices.Concat(p.Waivers, more.Waivers)
	return p, nil
}

// demandStrict has p demand what profile strict does.
func demandStrict(p *profiles.Profile) error {
	strict, err := profiles.Builtin("strict")
	if err != nil {
		return err
	}
	p.Require, p.MaxInconclusivePercent = strict.Require, strict.MaxInconclusivePercent
	if p.Name == noProfile {
		p.Name = strict.Name
		return nil
	}
	p.Name += ", strictly"
	return nil
}

func (j judgement) base(version string) (profiles.Profile, error) {
	switch {
	case j.profile == auto:
		return profiles.For(version), nil
	case strings.ContainsAny(j.profile, "/.") && !slices.Contains(profiles.Names(), j.profile):
		return profiles.Load(j.profile)
	case j.profile == "":
		return profiles.Profile{Name: noProfile, MaxInconclusivePercent: 100}, nil
	}
	return profiles.Builtin(j.profile)
}

// apply holds rep against the profile and tells what there is to say about its waivers.
func (s *settings) apply(j judgement, rep probes.Report) (probes.Report, error) {
	if j == (judgement{}) {
		return rep, nil
	}
	p, err := j.of(rep.Version)
	if err != nil {
		return rep, usage(err)
	}
	rep, notices := p.Apply(rep, time.Now())
	for _, n := range notices {
		if n.Kind != profiles.Untried {
			s.progress("%s", n)
		}
	}
	return rep, nil
}

// profileHelp names the builtin profiles.
func profileHelp() string {
	return fmt.Sprintf("what is demanded and which leaks are known: %s, the path of a YAML file, or auto for that of the release probed", strings.Join(profiles.Names(), ", "))
}
