package echo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// Ask dials addr over TCP and has n echoed; ctx bounds all of it. A reply to another nonce is ErrForeign; whose reply it is,
// Secret.Verify decides.
func Ask(ctx context.Context, addr netip.AddrPort, n Nonce) (Reply, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return Reply{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	if _, err := c.Write(Request(n)); err != nil {
		return Reply{}, fmt.Errorf("asking %s for an echo: %w", addr, err)
	}
	b, err := io.ReadAll(io.LimitReader(c, MaxReply))
	if err != nil && len(b) == 0 {
		return Reply{}, fmt.Errorf("reading the echo of %s: %w", addr, err)
	}
	r, err := ParseResponse(b)
	if err != nil {
		return Reply{}, fmt.Errorf("%s: %w", addr, err)
	}
	if r.Nonce != n {
		return Reply{}, fmt.Errorf("%s echoed another nonce: %w", addr, ErrForeign)
	}
	return r, nil
}
