package bundle

import (
	"maps"
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
)

// ownedLabels are labels, completed by whose they are: nothing may exist that Sweep cannot find.
func ownedLabels(labels map[string]string) map[string]string {
	out := map[string]string{LabelOwner: string(owner.Self()), LabelStarted: time.Now().UTC().Format(time.RFC3339)}
	maps.Copy(out, labels)
	return out
}
