package probes

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"

	"bottle.internal/internal/echo"
)

// A MetadataCanary is a Canary that also tells what a cloud's metadata service would, with a text of the run for every secret in it:
// whoever has the text has been told. It is safe for concurrent use.
type MetadataCanary struct {
	Canary
	metadata metadata
}

// NewMetadataCanary brings up a metadata service at addr, whose port may be 0 for any. It must be closed.
func NewMetadataCanary(name string, addr netip.AddrPort) (*MetadataCanary, error) {
	l, err := net.Listen(tcpNetwork(addr.Addr()), addr.String())
	if err != nil {
		return nil, fmt.Errorf("probes: a metadata service at %q: %w", addr, err)
	}
	bound, err := boundTo(addr, l.Addr())
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	c := &MetadataCanary{metadata: newMetadata()}
	c.addr = bound
	c.answer = func(v *visit, m message, b []byte) []byte {
		if answer := c.metadata.answer(b); answer != nil {
			return answer
		}
		return m.proveStream(v, c.secret)
	}
	c.serve(name, "tcp", l)
	return c, nil
}

// FoundIn reports whether b has what only the service told, whole.
func (c *MetadataCanary) FoundIn(b []byte) bool { return c.metadata.in(b) }

// Alive dials the canary from its own position, checks the proof of a fresh nonce, and is told a secret.
func (c *MetadataCanary) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	if err := c.Canary.Alive(ctx); err != nil {
		return err
	}
	conn, err := nearby().DialContext(ctx, "tcp", c.addr.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := conn.Write(documents[0].request(echo.NewNonce())); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(conn, echo.MaxReply))
	if err == nil && !c.FoundIn(b) {
		err = fmt.Errorf("%q does not tell its secret: %w", c.addr, echo.ErrForeign)
	}
	return err
}

// Target is the canary as a probe dials it.
func (c *MetadataCanary) Target() Target {
	t := c.Canary.Target()
	t.Alive = c.Alive
	return t
}
