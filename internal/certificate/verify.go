package certificate

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"bottle.internal/probes"
)

// ErrRefused says that a certificate does not vouch for what is about to be launched; the error around it says why.
var ErrRefused = errors.New("the certificate does not vouch for it")

// A Demand is what a launcher wants of a certificate.
type Demand struct {
	Key     ed25519.PublicKey
	MaxAge  time.Duration     // 0 is any
	Digests map[string]string // of what is about to be launched, in hex, by name
	Launch  Launch            // how it is about to be launched; a Topology of "" is any, where only the launch will tell
	// Simulated takes a certificate that is about the simulator, which proves the kit and no VM.
	Simulated bool
}

// slack is how far the clock of whoever signed may be ahead.
const slack = 5 * time.Minute

// Verify is the statement in envelope if it meets the demand at the time now; else the error is ErrRefused, with every reason.
func Verify(ctx context.Context, envelope []byte, d Demand, now time.Time) (Statement, error) {
	s, err := open(ctx, envelope, d.Key)
	if err != nil {
		return Statement{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if why := errors.Join(d.outcome(s.Predicate, now), whole(s.Predicate.Findings), d.age(s.Predicate.Made, now), d.launch(s.Predicate.Launch), d.subjects(s.Subject)); why != nil {
		return s, fmt.Errorf("%w:\n%w", ErrRefused, why)
	}
	return s, nil
}

// outcome is what speaks against what was found. The verdict is made anew of the findings: a summary that says otherwise counts for nothing.
func (d Demand) outcome(p Predicate, now time.Time) error {
	var errs []error
	if p.Simulated && !d.Simulated {
		errs = append(errs, errors.New("it is about the simulator, and says nothing of a VM"))
	}
	if p.Invalid != "" {
		errs = append(errs, fmt.Errorf("its report is invalid: %s", p.Invalid))
	}
	ran := 0
	for _, f := range p.Findings {
		switch f.Verdict {
		case probes.Contained, probes.Exposed:
			ran++
		case probes.NotApplicable:
		default:
			errs = append(errs, fmt.Errorf("%s is %s", f.ID, f.Verdict))
		}
	}
	if ran == 0 {
		errs = append(errs, errors.New("no probe was executed"))
	}
	if p.ExitCode != 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("its verdict is %s", p.Verdict))
	}
	for _, w := range p.Waivers {
		if !now.Before(w.Expires) {
			errs = append(errs, fmt.Errorf("its waiver of %s has ended", w.ID))
		}
	}
	return errors.Join(errs...)
}

// whole is what speaks against findings that are not of all that this kit asks: of a probe that was left out nothing is known.
func whole(all []Finding) error {
	found := make(map[string]bool)
	for _, f := range all {
		found[f.ID] = true
	}
	var without []string
	for _, p := range probes.All() {
		if !found[p.ID] {
			without = append(without, p.ID)
		}
	}
	if len(without) == 0 {
		return nil
	}
	return fmt.Errorf("it has no finding of %d of the %d probes of this kit, %s among them", len(without), len(probes.All()), without[0])
}

func (d Demand) age(made, now time.Time) error {
	switch {
	case made.After(now.Add(slack)):
		return fmt.Errorf("it was made at %s, which is yet to come", made.Format(time.RFC3339))
	case d.MaxAge > 0 && now.Sub(made) > d.MaxAge:
		return fmt.Errorf("it is %s old, and %s is the most that is taken", now.Sub(made).Round(time.Second), d.MaxAge)
	}
	return nil
}

// launch is what is about to be launched otherwise than what the certificate is about.
func (d Demand) launch(l Launch) error {
	var errs []error
	for _, c := range []struct{ name, about, now string }{
		{"engine", l.Engine, d.Launch.Engine}, {"backend", l.Backend, d.Launch.Backend}, {"topology", l.Topology, d.Launch.Topology}, {"policy", l.Asked, d.Launch.Asked},
	} {
		if c.about != c.now && (c.name != "topology" || c.now != "") {
			errs = append(errs, fmt.Errorf("the %s is another: it is about %q, and %q is about to run", c.name, c.about, c.now))
		}
	}
	return errors.Join(errs...)
}

// subjects are what the certificate is about and what is about to run: all of either, alike.
func (d Demand) subjects(all []Subject) error {
	var errs []error
	about := make(map[string]string)
	for _, s := range all {
		if _, twice := about[s.Name]; twice {
			errs = append(errs, fmt.Errorf("it names %s twice", s.Name))
		}
		about[s.Name] = s.Digest["sha256"]
	}
	for _, name := range slices.Sorted(maps.Keys(d.Digests)) {
		switch sum, ok := about[name]; {
		case !ok:
			errs = append(errs, fmt.Errorf("it says nothing of %s", name))
		case sum == "" || sum != d.Digests[name]:
			errs = append(errs, fmt.Errorf("%s is another: it is about %.12s…, and %.12s… is about to run", name, sum, d.Digests[name]))
		}
	}
	for name := range about {
		if _, ok := d.Digests[name]; !ok {
			errs = append(errs, fmt.Errorf("it is about %s too, of which nothing is about to run", name))
		}
	}
	return errors.Join(errs...)
}
