//go:build !linux

package agent

import (
	"errors"
	"time"
)

// Run is for Linux guests only.
func Run(Request, time.Time) (Response, error) {
	return Response{}, errors.New("agent: it runs in a Linux guest only")
}

func peakKiB() int { return 0 }

func runApart(r Request, deadline time.Time) (Response, error) { return Run(r, deadline) }
