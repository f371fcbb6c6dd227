package profiles

import (
	"fmt"
	"time"

	"bottle.internal/probes"
)

// A Kind is what a notice is about.
type Kind string

// The kinds of notices.
const (
	Broken   Kind = "broken"   // the waiver lacks something and covers nothing
	Expired  Kind = "expired"  // it is over; what it covered is a leak again
	Exceeded Kind = "exceeded" // what it names leaked worse than it expects
	Stale    Kind = "stale"    // a probe it names came to a conclusion, and there was no leak that it covers
	Untried  Kind = "untried"  // no probe it names came to a conclusion, so nothing is known of it
)

// A Notice is what is to be said about a waiver after a report. It is no verdict.
type Notice struct {
	Kind   Kind          `json:"kind"`
	Waiver probes.Waiver `json:"waiver"`
	Text   string        `json:"text"`
}

// String is the notice in a line.
func (n Notice) String() string {
	return fmt.Sprintf("waiver of %s at %s is %s: %s", n.Waiver.ID, n.Waiver.Target, n.Kind, n.Text)
}

func (b book) notices() []Notice {
	var all []Notice
	for _, e := range b {
		if kind, text := e.notice(); kind != "" {
			all = append(all, Notice{kind, e.Waiver, text})
		}
	}
	return all
}

// notice is what to say of the waiver, "" if it did what it is for.
func (e *entry) notice() (Kind, string) {
	day := e.Expires.UTC().Format(time.DateOnly)
	switch {
	case len(e.flaws) > 0:
		return Broken, fmt.Sprintf("%s: %s", e.flaws[0].field, e.flaws[0].text)
	case e.lapsed:
		return Expired, fmt.Sprintf("it ended on %s, and what it covered is a leak again", day)
	case e.expired:
		return Expired, fmt.Sprintf("it ended on %s, and there was nothing for it to cover", day)
	case e.exceeded:
		return Exceeded, fmt.Sprintf("it expects %s at the worst, and there was more", e.Expected)
	case e.used:
		return "", ""
	case e.met:
		return Stale, "there was no leak that it covers: remove it, or find out why the leak is gone"
	}
	if _, err := probes.Select(e.ID); err != nil {
		return Untried, "the catalogue has no probe that it names"
	}
	return Untried, "no probe that it names came to a conclusion in this report"
}
