//go:build linux

package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// newest is the personality taken when SMOLVM_SIM_VERSION is unset.
const newest = "1.9.3"

// simulated are the releases that may be asked for by name, the oldest first. Another one is added here once its rows in
// differences are complete and its goldens are recorded.
var simulated = []string{"0.8.0", "0.8.1", "1.0.2", "1.0.4", "1.1.3", "1.2.5", "1.4.1", "1.7.2", "1.8.0", "1.9.3"}

// A release is a smolvm version number, major first.
type release [3]int

func (r release) String() string { return fmt.Sprintf("%d.%d.%d", r[0], r[1], r[2]) }

// atLeast reports whether r is other or newer.
func (r release) atLeast(other release) bool { return slices.Compare(r[:], other[:]) >= 0 }

// in reports whether r lies in [since, until); the zero until has no end.
func (r release) in(since, until release) bool {
	return r.atLeast(since) && (until == release{} || !r.atLeast(until))
}

func parseRelease(s string) (release, error) {
	var r release
	parts := strings.Split(s, ".")
	if len(parts) != len(r) {
		return r, fmt.Errorf("%q is not MAJOR.MINOR.PATCH", s)
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return r, fmt.Errorf("%q is not MAJOR.MINOR.PATCH", s)
		}
		r[i] = n
	}
	return r, nil
}

// personality looks up the release that SMOLVM_SIM_VERSION names, "" being the newest.
func personality(name string) (features, error) {
	if name == "" {
		name = newest
	}
	if !slices.Contains(simulated, name) {
		return features{}, configError("SMOLVM_SIM_VERSION", "'%s' is not a simulated release (known: %s)", name, strings.Join(simulated, ", "))
	}
	r, err := parseRelease(name)
	if err != nil {
		return features{}, configError("SMOLVM_SIM_VERSION", "%v", err)
	}
	return featuresOf(r), nil
}
