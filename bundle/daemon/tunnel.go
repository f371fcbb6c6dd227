package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
)

const (
	// helloLimit bounds, in bytes, what of a TLS ClientHello is held back: its records hold 16 KiB each, and no client needs a second.
	helloLimit = 16 << 10
	// handshakeRecord begins everything that a TLS client says first (RFC 8446, 5.1).
	handshakeRecord = 22
)

// accessDenied is the fatal alert by which a TLS client is told that it was a rule that stopped it (RFC 8446, 6.2: access_denied).
var accessDenied = []byte{21, 3, 1, 0, 2, 2, 49}

// A tunnel is the far side of a CONNECT. If what goes in begins as TLS does, none of it is handed on before the name is known that the
// client asks for: a tunnel to a listed host is no way to another one that shares its address. What is not TLS passes.
type tunnel struct {
	net.Conn
	// judge decides by the server name of a ClientHello; it is called at most once, and not where there is none.
	judge func(name string) bool

	held   []byte
	passed bool

	mu      sync.Mutex
	refused *bytes.Reader // what is left of the alert; nil if nothing was refused
}

// Write holds back what may be the beginning of a ClientHello. Of a tunnel that was refused it takes everything and hands nothing on, so
// that the client hears why.
func (t *tunnel) Write(b []byte) (int, error) {
	switch {
	case t.passed:
		return t.Conn.Write(b)
	case t.alert() != nil:
		return len(b), nil
	}
	t.held = append(t.held, b...)
	name, whole, err := serverName(t.held)
	switch {
	case err == nil && !whole && len(t.held) < helloLimit:
		return len(b), nil
	case err != nil || !whole || name != "" && !t.judge(name):
		t.refuse()
		return len(b), nil
	}
	t.passed = true
	if _, err := t.Conn.Write(t.held); err != nil {
		return 0, err
	}
	t.held = nil
	return len(b), nil
}

// Read is the far side's answer, or the alert.
func (t *tunnel) Read(b []byte) (int, error) {
	if a := t.alert(); a != nil {
		return a.Read(b)
	}
	n, err := t.Conn.Read(b)
	if a := t.alert(); a != nil && n == 0 {
		return a.Read(b)
	}
	return n, err
}

func (t *tunnel) refuse() {
	t.mu.Lock()
	t.refused = bytes.NewReader(accessDenied)
	t.mu.Unlock()
	_ = t.Close() // a Read that waits has its answer
}

func (t *tunnel) alert() *bytes.Reader {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused
}

// CloseWrite ends what goes in. With CloseRead it is what goproxy closes the halves of a tunnel by.
func (t *tunnel) CloseWrite() error { return closeWrite(t.Conn) }

// CloseRead ends what comes out.
func (t *tunnel) CloseRead() error { return closeRead(t.Conn) }

// closeWrite closes c for writing, or altogether where it has no halves.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

func closeRead(c net.Conn) error {
	if half, ok := c.(interface{ CloseRead() error }); ok {
		return half.CloseRead()
	}
	return c.Close()
}

// serverName reads the name out of a TLS ClientHello, "" if it has none, as a TLS server would. Bytes that are no TLS are whole and
// nameless; those that begin as TLS and go on as nothing that a server understands are an error.
func serverName(b []byte) (name string, whole bool, err error) {
	if len(b) == 0 {
		return "", false, nil
	}
	if b[0] != handshakeRecord {
		return "", true, nil
	}
	seen := errors.New("seen")
	err = tls.Server(&heard{Reader: bytes.NewReader(b)}, &tls.Config{
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name, whole = h.ServerName, true
			return nil, seen
		},
	}).HandshakeContext(context.Background())
	if whole || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return name, whole, err
}

// A heard is a connection of which some bytes have come, and to which nobody answers.
type heard struct {
	net.Conn
	io.Reader
}

func (h *heard) Read(b []byte) (int, error)  { return h.Reader.Read(b) }
func (h *heard) Write(b []byte) (int, error) { return len(b), nil }
func (h *heard) Close() error                { return nil }
