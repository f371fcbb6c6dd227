//go:build linux

package vnet

import (
	"errors"
	"os"
)

// Prepare sets up the guest's end.
func Prepare(cfg Config) ([]*os.File, error) {
	return nil, errors.New("vnet: Prepare is not written yet")
}

// Network is the host's end of a guest's network.
type Network struct{}

// Serve runs the host's end.
func Serve(cfg Config, files []*os.File, logf func(format string, args ...any)) (*Network, error) {
	return nil, errors.New("vnet: Serve is not written yet")
}

// Close tears the network down.
func (n *Network) Close() error { return nil }
