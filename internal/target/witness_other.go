//go:build !linux

package target

import (
	"context"
	"errors"
)

// A witness is the host's kernel, asked where the agent runs. Only a Linux host shares its kernel with a sandbox.
type witness struct {
	mark      string
	seen, bad map[string]string
}

func (*witness) watch(do func()) { do() }

func (*witness) testify(context.Context) (string, error) {
	return "", errors.New("this host's kernel is not the sandbox's")
}

func (*witness) network() string { return "a network that this host cannot look into" }
