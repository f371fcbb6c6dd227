//go:build linux

package sim

import (
	"sync"
	"time"
)

// A bundle is the directory that crun starts a container from. Below 1.4.1 every command of an image machine wrote its config.json
// and then had crun read it, all commands the same file (smolvm v0.8.0 storage.rs, #199). Safe for concurrent use.
type bundle struct {
	mu     sync.Mutex
	config request
	next   chan struct{} // closed by the next writer; nil = nobody is between writing and reading
}

// The time between writing and reading.
const (
	bundleWindow = 5 * time.Millisecond
	bundleRace   = 5 * time.Second // faultSharedConfig: the limit of the wait for another writer
)

// bundled is what crun finds in config.json: the request's own command, or the one of whoever wrote last.
func (a *agent) bundled(req request) request {
	if !req.Alone {
		return req
	}
	window := bundleWindow
	if a.config.Faults.has(faultSharedConfig) {
		window = bundleRace
	}
	found := a.bundle.share(req, window)
	req.Argv, req.Env, req.Dir, req.User = found.Argv, found.Env, found.Dir, found.User
	return req
}

func (b *bundle) share(req request, window time.Duration) request {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.config = req
	if b.next != nil {
		close(b.next)
		b.next = nil
		return req
	}
	mine := make(chan struct{})
	b.next = mine
	b.mu.Unlock()
	select {
	case <-mine:
	case <-time.After(window):
	}
	b.mu.Lock()
	if b.next == mine {
		b.next = nil
	}
	return b.config
}
