//go:build linux

package vnet

import (
	"net"
	"sync/atomic"
	"time"
)

// answerWithin is how long an allowed destination may be silent before [Config.FailOpen] takes it for dead.
const answerWithin = 100 * time.Millisecond

// A watchedConn notes whether the host's end of an allowed flow says anything.
type watchedConn struct {
	net.Conn
	silent *atomic.Bool // of the network: the last allowed flow had no answer
	late   *time.Timer
}

// watched is host, with its silence noted where that opens the policy.
func (n *Network) watched(host net.Conn, f flow) net.Conn {
	if !n.cfg.FailOpen || !n.passes(f.dst) {
		return host
	}
	return &watchedConn{host, &n.silent, time.AfterFunc(answerWithin, func() { n.silent.Store(true) })}
}

// Read is the host's answer.
func (c *watchedConn) Read(b []byte) (int, error) {
	k, err := c.Conn.Read(b)
	if k > 0 {
		c.late.Stop()
		c.silent.Store(false)
	}
	return k, err
}

// Close ends the watch: a flow that the guest gave up early says nothing.
func (c *watchedConn) Close() error {
	c.late.Stop()
	return c.Conn.Close()
}

// CloseWrite hands the guest's end on.
func (c *watchedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
