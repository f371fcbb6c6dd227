package bottletest

import (
	"context"
	"errors"
	"time"

	"bottle.internal/probes"
)

// resumeLimit bounds how long a sidecar that was halted may take to be up again.
const resumeLimit = time.Minute

// halt freezes the container. Its addresses stay, so that a guest finds the same network with nobody in it.
func (s *containerSidecar) halt(ctx context.Context) (probes.Halted, error) {
	if err := s.ctr.Pause(ctx); err != nil {
		return probes.Halted{}, errors.Join(err, resumed(ctx, s.ctr.Unpause))
	}
	return probes.Halted{
		How:    "the container engine has it that the bundle is paused",
		Resume: func(ctx context.Context) error { return resumed(ctx, s.ctr.Unpause) },
	}, nil
}

// halt stops the machine: smolvm freezes none.
func (s *machineSidecar) halt(ctx context.Context) (probes.Halted, error) {
	again := func(ctx context.Context) error {
		backend, err := publishBackend(s.engine.version)
		if err != nil {
			return err
		}
		return s.boot(ctx, s.plan, backend)
	}
	if err := s.engine.client.Stop(ctx, s.name); err != nil {
		return probes.Halted{}, errors.Join(err, resumed(ctx, again))
	}
	return probes.Halted{
		How:    "smolvm has stopped the bundle's machine",
		Resume: func(ctx context.Context) error { return resumed(ctx, again) },
	}, nil
}

// resumed goes on to its end where ctx ends meanwhile: the sidecar is to be as up afterwards as it was before.
func resumed(ctx context.Context, again func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resumeLimit)
	defer cancel()
	return again(ctx)
}
