//go:build linux

package sim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// durationUnits are humantime's up to the day.
var durationUnits = map[string]time.Duration{
	"ns": time.Nanosecond, "nsec": time.Nanosecond, "us": time.Microsecond, "usec": time.Microsecond,
	"ms": time.Millisecond, "msec": time.Millisecond, "s": time.Second, "sec": time.Second, "secs": time.Second,
	"second": time.Second, "seconds": time.Second, "m": time.Minute, "min": time.Minute, "mins": time.Minute,
	"minute": time.Minute, "minutes": time.Minute, "h": time.Hour, "hr": time.Hour, "hrs": time.Hour,
	"hour": time.Hour, "hours": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
}

// parseDuration reads humantime's syntax: numbers each with a unit ("500ms", "1m 30s"). A bare number and zero are refused.
func parseDuration(s string) (time.Duration, error) {
	rest, total := strings.TrimSpace(s), time.Duration(0)
	if rest == "" {
		return 0, fmt.Errorf("value was empty")
	}
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("expected number at %d", len(s)-len(rest))
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		letters := len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))
		if letters == 0 {
			return 0, fmt.Errorf("time unit needed, for example %dsec or %dms", n, n)
		}
		unit, known := durationUnits[rest[:letters]]
		if !known {
			return 0, fmt.Errorf("unknown time unit %q, supported units: ns, us, ms, sec, min, hours, days", rest[:letters])
		}
		if n > int64((math.MaxInt64-total)/unit) {
			return 0, fmt.Errorf("number is too large")
		}
		total += time.Duration(n) * unit
		rest = strings.TrimLeft(rest[letters:], " ")
	}
	if total == 0 {
		return 0, fmt.Errorf("timeout must be greater than zero")
	}
	return total, nil
}
