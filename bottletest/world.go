package bottletest

import (
	"context"
	"path/filepath"

	"bottle.internal/probes"
)

// openWorld brings up the sink that stands in for the rest of the internet, for an engine that is hermetic.
func (l *launch) openWorld() error {
	if l.engine.kind != Simulator {
		return nil
	}
	w, err := probes.NewWorld()
	if err != nil {
		return err
	}
	l.world = w
	l.undo.push("world", func(context.Context) error { return w.Close() })
	l.engine.client.Env = append(l.engine.client.Env, "SMOLVM_SIM_WORLD="+w.Path())
	l.record.World = filepath.Dir(w.Path())
	return l.record.write()
}
