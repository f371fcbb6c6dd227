//go:build linux

package vnet

import (
	"sync/atomic"
	"time"
)

// lapseAfter is how many flows a policy with [Config.Lapse] stops before its time begins to run: more than a launch has it stop.
const lapseAfter = 24

// A lapse is a policy's end by itself. The zero lapse has not begun.
type lapse struct {
	stopped atomic.Int64
	begun   atomic.Int64 // nanoseconds of the Unix epoch; 0 is not yet
}

// over notes a flow that the policy would stop, and reports whether it does not any more.
func (l *lapse) over(after time.Duration) bool {
	if after <= 0 {
		return false
	}
	now := time.Now().UnixNano()
	if l.stopped.Add(1) == lapseAfter {
		l.begun.Store(now)
	}
	begun := l.begun.Load()
	return begun > 0 && now-begun > int64(after)
}
