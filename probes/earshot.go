package probes

import (
	"errors"
	"net"
	"sync"
)

var (
	errNoDrops = errors.New("probes: this system does not tell what a socket missed")
	// errMissed makes a socket that missed datagrams useless as a witness: a guest that floods it could hide a nonce in the flood.
	errMissed = errors.New("probes: more datagrams than a canary could hear")
)

// hearing is the most that a socket is asked to keep until it is read, in bytes; the system may keep less.
const hearing = 4 << 20

// An earshot is what datagrams arrive on, and whether all of them were heard. It is safe for concurrent use.
type earshot struct {
	net.PacketConn
	mu     sync.Mutex
	missed bool
}

func newEarshot(conn net.PacketConn) *earshot {
	if b, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		_ = b.SetReadBuffer(hearing)
	}
	return &earshot{PacketConn: conn}
}

// whole is errMissed if something was missed. Where the system does not tell, and after Close, it goes by what is known.
func (e *earshot) whole() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n, err := drops(e.PacketConn); err == nil && n > 0 {
		e.missed = true
	}
	if e.missed {
		return errMissed
	}
	return nil
}

// Close takes down whether all was heard, and closes the socket.
func (e *earshot) Close() error {
	_ = e.whole()
	return e.PacketConn.Close()
}
