package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

// storedWithin bounds the way of a logged line from a daemon through PID 1 into the engine's log.
const storedWithin = 5 * time.Second

// Sightings are the echoes the bundle's daemons, and the canary of WithCanary under its name, have answered so far, oldest first,
// those of PID 1 and Run among them. It misses none that was answered before the call: each is asked for one more echo, and its
// log is complete up to there once that has come through. An error says that the sightings returned with it may lack some, as
// those of a daemon that does not answer any more: silence is then no witness.
func (c *Container) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	marks, asked := c.mark(ctx, c.settings.echoing())
	return beside(ctx, marks, asked, c.log)
}

// KeepsCanary reports whether WithCanary was given.
func (c *Container) KeepsCanary() bool { return c.settings.canary.IsValid() }

// CanarySightings are those of the canary of WithCanary alone, as complete as Sightings. It fails where there is no such canary.
func (c *Container) CanarySightings(ctx context.Context) ([]echo.Sighting, error) {
	if !c.KeepsCanary() {
		return nil, errors.New("the bundle keeps no canary")
	}
	marks, asked := c.mark(ctx, map[string]netip.AddrPort{wire.Canary: c.settings.canary})
	all, err := beside(ctx, marks, asked, c.log)
	return slices.DeleteFunc(all, func(s echo.Sighting) bool { return s.Name != wire.Canary }), err
}

// beside reads the log until all marks are in it, and returns the sightings that are none of them: what was answered before a mark
// stands before it. asked is why not every mark was answered; then there is nothing to wait for.
func beside(ctx context.Context, marks []echo.Nonce, asked error, read func(context.Context) ([]byte, error)) ([]echo.Sighting, error) {
	ctx, cancel := context.WithTimeout(ctx, storedWithin)
	defer cancel()
	for {
		log, err := read(ctx)
		if err != nil {
			return nil, err
		}
		all := parseSightings(string(log))
		others := slices.DeleteFunc(slices.Clone(all), func(s echo.Sighting) bool { return slices.Contains(marks, s.Nonce) })
		if asked != nil || !slices.ContainsFunc(marks, func(n echo.Nonce) bool { return !shows(all, n) }) {
			return others, asked
		}
		select {
		case <-ctx.Done():
			return others, fmt.Errorf("waiting for the daemons' logs: %w", context.Cause(ctx))
		case <-time.After(upPoll):
		}
	}
}

func shows(all []echo.Sighting, n echo.Nonce) bool {
	return slices.ContainsFunc(all, func(s echo.Sighting) bool { return s.Nonce == n })
}

// mark asks each of echoing, names with where they listen, for an echo and returns the nonces.
func (c *Container) mark(ctx context.Context, echoing map[string]netip.AddrPort) ([]echo.Nonce, error) {
	argv := []string{program, "dial"}
	var marks []echo.Nonce
	for name, at := range echoing {
		n := echo.NewNonce()
		marks = append(marks, n)
		if !c.echoesHere(ctx, name, at, n) {
			argv = append(argv, wire.FromInside(at).String(), string(n))
		}
	}
	if len(argv) == 2 {
		return marks, nil
	}
	if _, err := c.exec(ctx, argv...); err != nil {
		return marks, fmt.Errorf("sightings may be incomplete: %w", err)
	}
	return marks, nil
}

// echoesHere has what listens on at echo n to this process, which costs no process in the container. It reports false where no road
// leads there from here, as from a host that the engine's bridges are not on; that is tried once.
func (c *Container) echoesHere(ctx context.Context, name string, at netip.AddrPort, n echo.Nonce) bool {
	road, ok := c.published[at.Port()]
	if !ok && c.addr.IsValid() && (at.Addr().IsUnspecified() || at.Addr() == c.addr) {
		road, ok = netip.AddrPortFrom(c.addr, at.Port()), true
	}
	if !ok || c.apart.Load() {
		return false
	}
	if c.answersHost(ctx, name, road, n) != nil {
		c.apart.Store(ctx.Err() == nil)
		return false
	}
	return true
}

// parseSightings reads the sightings out of PID 1's log; lines of another kind are passed over.
func parseSightings(log string) []echo.Sighting {
	var out []echo.Sighting
	for line := range strings.Lines(log) {
		rest, ok := strings.CutPrefix(line, "[")
		if !ok {
			continue
		}
		name, text, ok := strings.Cut(rest, "] ")
		if !ok {
			continue
		}
		var s echo.Sighting
		if json.Unmarshal([]byte(text), &s) == nil && s.Nonce.Valid() && s.Name == name {
			out = append(out, s)
		}
	}
	return out
}
