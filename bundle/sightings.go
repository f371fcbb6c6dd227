package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

// storedWithin bounds the way of a logged line from a daemon through PID 1 into the engine's log.
const storedWithin = 5 * time.Second

// Sightings are the echoes the bundle's daemons have answered so far, oldest first, those of PID 1 and Run among them. It
// misses none that was answered before the call: each daemon is asked for one more echo, and its log is complete up to there
// once that has come through. An error says that the sightings returned with it may lack some, as those of a daemon that
// does not answer any more: silence is then no witness.
func (c *Container) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	marks, asked := c.mark(ctx)
	return beside(ctx, marks, asked, c.log)
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
		if asked != nil || len(all)-len(others) == len(marks) {
			return others, asked
		}
		select {
		case <-ctx.Done():
			return others, fmt.Errorf("waiting for the daemons' logs: %w", context.Cause(ctx))
		case <-time.After(upPoll):
		}
	}
}

// mark asks every daemon for an echo and returns the nonces.
func (c *Container) mark(ctx context.Context) ([]echo.Nonce, error) {
	argv := []string{program, "dial"}
	var marks []echo.Nonce
	for _, at := range slices.Collect(maps.Values(c.settings.ports())) {
		marks = append(marks, echo.NewNonce())
		argv = append(argv, wire.FromInside(at).String(), string(marks[len(marks)-1]))
	}
	if len(marks) == 0 {
		return nil, nil
	}
	if _, err := c.exec(ctx, argv...); err != nil {
		return marks, fmt.Errorf("sightings may be incomplete: %w", err)
	}
	return marks, nil
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
