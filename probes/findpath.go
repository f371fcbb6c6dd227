package probes

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// FindPath has the site dial each of targets once, in one batch, and returns those that proved themselves, in their order. It is for
// finding an allowed destination where nobody has named one; nothing is judged. opts.Budget bounds each dial. An error means that the site
// could not be asked.
func FindPath(ctx context.Context, site Site, opts Options, targets []Target) ([]Target, error) {
	opts = opts.withDefaults()
	req := agent.Request{Schema: agent.Schema, Run: echo.NewNonce(), DeadlineMS: int((2*opts.Budget + 5*time.Second).Milliseconds())}
	for i, t := range targets {
		a := aim{addr: t.Addr}.attempt(0, opts.Budget)
		a.ID = fmt.Sprintf("path-%d", i)
		req.Attempts = append(req.Attempts, a)
	}
	if err := req.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSite, err)
	}
	text, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	out, err := site.Run(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("probes: the agent could not be run: %s", plainText(err.Error()))
	}
	answer, err := req.Decode(out)
	if err != nil {
		return nil, err
	}
	var proven []Target
	for i, t := range targets {
		a := req.Attempts[i]
		if proves(t.Secret, a.Nonce, answer.Results[a.ID].Reply) {
			proven = append(proven, t)
		}
	}
	return proven, nil
}
