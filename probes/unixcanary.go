package probes

import (
	"fmt"
	"net"
	"os"
)

// A UnixCanary is a unix stream socket that logs who came with which nonce, and proves to whoever came that it was there. It knows
// nonces as Canary does; in its sightings Local is the path, and Peer is the name of a peer that has one. It is safe for concurrent
// use.
type UnixCanary struct {
	streamCanary
	path string
}

// NewUnixCanary brings up a canary at path; "@" begins an abstract name, which there is on Linux only. The directory of path must
// exist, and nothing at path. Every user of the host may connect: what keeps a guest from it is to be the wall and not the mode of a
// file. It must be closed, which removes path.
func NewUnixCanary(name, path string) (*UnixCanary, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("probes: a canary at %q: %w", path, err)
	}
	if at := l.Addr().String(); at != path {
		_ = l.Close()
		return nil, fmt.Errorf("probes: a canary at %q: the listener is at %q", path, at)
	}
	if path[0] != '@' {
		if err := os.Chmod(path, 0o666); err != nil {
			_ = l.Close()
			return nil, fmt.Errorf("probes: a canary at %q: %w", path, err)
		}
	}
	c := &UnixCanary{path: path}
	c.serve(name, "unix", l)
	return c, nil
}

// Path is where the canary listens, with "@" before an abstract name.
func (c *UnixCanary) Path() string { return c.path }

// Target is the canary as a probe dials it, at Path. It has no address.
func (c *UnixCanary) Target() Target {
	return Target{Name: c.name, Secret: c.secret, Alive: c.Alive, Sightings: c.Sightings}
}
