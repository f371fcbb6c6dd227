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
