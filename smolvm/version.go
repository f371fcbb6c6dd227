package smolvm

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A Version is a release of smolvm. The zero Version is older than any.
type Version struct {
	Major, Minor, Patch int
	// Simulated says that the program is smolvm-sim, which models that release and holds nobody in.
	Simulated bool
}

// String is "0.8.0", or "0.8.0 (simulated)".
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Simulated {
		s += simulatedSuffix
	}
	return s
}

// AtLeast reports whether v is the release major.minor.patch or a later one.
func (v Version) AtLeast(major, minor, patch int) bool {
	return cmp.Or(cmp.Compare(v.Major, major), cmp.Compare(v.Minor, minor), cmp.Compare(v.Patch, patch)) >= 0
}

const simulatedSuffix = " (simulated)"

// versionText is what `smolvm --version` prints, 0.8.0 to 1.9.3. A suffix such as -rc.1 is let through: the form after 1.9.3 is
// not known, and a pre-release behaves as its release more than as the one before.
var versionText = regexp.MustCompile(`^(?:smolvm )?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+][0-9A-Za-z.+-]+)?( \(simulated\))?$`)

// ParseVersion reads the output of `smolvm --version`, or the version alone. Its error wraps ErrInvalid.
func ParseVersion(s string) (Version, error) {
	m := versionText.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return Version{}, fmt.Errorf("%w: %.80q is not the version of a smolvm", ErrInvalid, s)
	}
	v := Version{Simulated: m[4] != ""}
	for i, part := range []*int{&v.Major, &v.Minor, &v.Patch} {
		*part, _ = strconv.Atoi(m[i+1]) // six digits at most
	}
	return v, nil
}
