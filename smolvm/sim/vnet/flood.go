//go:build linux

package vnet

import (
	"sync"
	"time"
)

// floodAt is how many flows a policy with [Config.FloodOpen] stops in a second:
// more than a batch of probes has it stop, a flood apart.
const floodAt = 500

// A flood counts the flows that a policy stops. Safe for concurrent use.
type flood struct {
	mu      sync.Mutex
	second  time.Time
	stopped int
}

// over notes a flow that the policy would stop, and reports whether there are too
// many of them for it to be stopped.
func (f *flood) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.second) >= time.Second {
		f.second, f.stopped = now, 0
	}
	f.stopped++
	return f.stopped > floodAt
}
