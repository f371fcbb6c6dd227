package bundle

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"bottle.internal/internal/owner"
)

// Labels on every container and network of a bottle.
const (
	// LabelSlug is the bottle's slug. Run and NewNetwork do not invent one.
	LabelSlug = "internal.bottle.slug"
	// LabelOwner is the owner.ID of the process that made it; Sweep goes by it. This process unless given.
	LabelOwner = "internal.bottle.owner"
	// LabelStarted is when it was made, RFC 3339. Now unless given.
	LabelStarted = "internal.bottle.started"
	// labelCanaries tells Attach where canaries listen: ports, separated by blanks.
	labelCanaries = "internal.bottle.canaries"
)

// ownedLabels are labels, completed by whose they are: nothing may exist that Sweep cannot find.
func ownedLabels(labels map[string]string) map[string]string {
	out := map[string]string{LabelOwner: string(owner.Self()), LabelStarted: time.Now().UTC().Format(time.RFC3339)}
	maps.Copy(out, labels)
	return out
}

// labels are the container's own, before the user's.
func (s settings) labels() map[string]string {
	if len(s.canaries) == 0 {
		return nil
	}
	return map[string]string{labelCanaries: strings.Trim(fmt.Sprint(s.canaries), "[]")}
}

// parsePorts reads what labels has written.
func parsePorts(text string) (ports []uint16, err error) {
	for _, f := range strings.Fields(text) {
		p, err := strconv.ParseUint(f, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("label %s=%q: %w", labelCanaries, text, err)
		}
		ports = append(ports, uint16(p))
	}
	return ports, nil
}
