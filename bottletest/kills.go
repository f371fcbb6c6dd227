package bottletest

import (
	"context"

	"bottle.internal/internal/gobuild"
	"bottle.internal/probes"
	"bottle.internal/probes/mutants"
)

// withKills is o with what is on record about this kit: control C5. Without a record, or without the sources that tell which kit this
// is, the control is not checked, and the report says so.
func (b *Bottle) withKills(ctx context.Context, o probes.Options) probes.Options {
	if o.Kills != nil {
		return o
	}
	kit, err := gobuild.Kit(ctx)
	if err != nil {
		b.cfg.logf("no record of kills: %v", err)
		return o
	}
	o.Kit = kit
	dir, err := gobuild.Kills()
	if err != nil {
		b.cfg.logf("no record of kills: %v", err)
		return o
	}
	r, err := mutants.ReadRecord(dir, kit)
	if err != nil {
		b.cfg.logf("%v", err)
		return o
	}
	o.Kills = r.Kills
	return o
}
