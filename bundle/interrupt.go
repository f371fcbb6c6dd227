package bundle

import (
	"context"
	"time"
)

// endLimit bounds what its caller may no longer wait for.
const endLimit = 30 * time.Second

// toItsEnd runs what must not be left half-way even when ctx ends; the error is then ctx's. An engine goes on with a request whose
// caller has gone, so what it makes would come up after the caller has looked for it and removed nothing. And testcontainers keeps
// the outcome of its first look at the engine for the life of the process, be it an interruption.
func toItsEnd[T any](ctx context.Context, do func(context.Context) (T, error)) (T, error) {
	if err := context.Cause(ctx); err != nil {
		var none T
		return none, err
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
	defer cancel()
	got, err := do(bounded)
	if err == nil {
		err = context.Cause(ctx)
	}
	return got, err
}
