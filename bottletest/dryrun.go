package bottletest

import (
	"context"
	"errors"

	"bottle.internal/internal/echo"
)

// DryRun is what Run would do with cfg: it finds the engines, chooses names and addresses, and gives them back. No network, container or
// machine is made. Another launch may take the addresses before the next Run, which chooses anew. An image is prepared as by Run.
func DryRun(ctx context.Context, cfg Config) (Plan, error) {
	if err := cfg.check(); err != nil {
		return Plan{}, err
	}
	secret := echo.NewSecret()
	j := &journal{next: cfg.Logf}
	cfg.Logf = j.logf
	l := &launch{Bottle: &Bottle{cfg: cfg, secret: secret, journal: j, undo: new(undo)}, with: realParts(cfg, secret)}
	err := l.choose(ctx)
	return l.plan, errors.Join(err, l.undo.run(context.WithoutCancel(ctx)))
}
