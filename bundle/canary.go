package bundle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

// closeWithin bounds how long a canary may take to end.
const closeWithin = 5 * time.Second

// A Canary is an echo listener in a bundle that logs who reached it. Its echoes are proven with the bundle's secret and
// named "canary". It is safe for concurrent use.
type Canary struct {
	addr   netip.AddrPort
	host   netip.AddrPort // where its port is published; zero where it is not
	p      *execution
	ended  chan struct{} // closed when its output has ended
	errOut bytes.Buffer  // its standard error, complete once ended
	close  func() error

	mu        sync.Mutex
	sightings []echo.Sighting
	err       error // why its output ended before its time
}

// Canary starts a listener on a free port of the container's address, or on one of WithCanaryPorts. It lives until Close or
// the container's end; ctx bounds only its start.
func (c *Container) Canary(ctx context.Context) (*Canary, error) {
	port, done, err := c.canaryPort(ctx)
	if err != nil {
		return nil, err
	}
	y, err := c.canaryAt(ctx, netip.AddrPortFrom(c.addr, port))
	if err != nil {
		done()
		return nil, err
	}
	y.host = c.published[y.addr.Port()]
	y.close = sync.OnceValue(func() error { defer done(); return y.end() })
	return y, nil
}

func (c *Container) canaryAt(ctx context.Context, at netip.AddrPort) (*Canary, error) {
	p, err := c.begin(ctx, []string{program, "canary", "--listen", at.String()}, true)
	if err != nil {
		return nil, err
	}
	y := &Canary{p: p, ended: make(chan struct{})}
	up := make(chan netip.AddrPort, 1)
	go y.read(up)
	select {
	case y.addr = <-up:
		return y, nil
	case <-y.ended:
		return nil, errors.Join(fmt.Errorf("%s: it ended before it listened", p.name), y.end())
	case <-ctx.Done():
		_ = y.end()
		return nil, fmt.Errorf("%s: waiting for it to listen: %w", p.name, context.Cause(ctx))
	}
}

// read takes the canary's output apart until it ends.
func (y *Canary) read(up chan<- netip.AddrPort) {
	out, in := io.Pipe()
	copied := make(chan struct{})
	defer func() { <-copied; close(y.ended) }()
	go func() {
		defer close(copied)
		_, err := stdcopy.StdCopy(in, &y.errOut, y.p.conn.Reader)
		_ = in.CloseWithError(err)
	}()
	sc := bufio.NewScanner(out)
	for first := true; sc.Scan(); first = false {
		if err := y.line(sc.Bytes(), first, up); err != nil {
			y.fail(err)
			_ = out.CloseWithError(err)
			return
		}
	}
	y.fail(sc.Err())
}

func (y *Canary) line(b []byte, first bool, up chan<- netip.AddrPort) error {
	if first {
		var u wire.CanaryUp
		if err := json.Unmarshal(b, &u); err != nil {
			return fmt.Errorf("reading where it listens from %q: %w", b, err)
		}
		up <- u.Listen
		return nil
	}
	var s echo.Sighting
	if err := json.Unmarshal(b, &s); err != nil || !s.Nonce.Valid() {
		return fmt.Errorf("%q is no sighting", b)
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.sightings = append(y.sightings, s)
	return nil
}

func (y *Canary) fail(err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.err == nil {
		y.err = err
	}
}

// Addr is where the canary listens, in the container.
func (y *Canary) Addr() netip.AddrPort { return y.addr }

// Published is where on the host the canary answers; the zero AddrPort where WithPublish does not name its port.
func (y *Canary) Published() netip.AddrPort { return y.host }

// Sightings are the nonces that have arrived so far, oldest first. One that has just been answered may still be on its way
// from the container; after a Close without an error all are there.
func (y *Canary) Sightings() []echo.Sighting {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.sightings)
}

// Close ends the canary and waits until all it saw has been read. An error says that its sightings may be incomplete: it had
// ended before, or did not end cleanly. Closing again returns the same.
func (y *Canary) Close() error { return y.close() }

func (y *Canary) end() error {
	defer y.p.conn.Close()
	early := false
	select {
	case <-y.ended:
		early = true
	default:
	}
	_ = y.p.conn.CloseWrite() // the end of its input is the end of it
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	select {
	case <-y.ended:
	case <-ctx.Done():
		return fmt.Errorf("%s: still running %s after its input ended", y.p.name, closeWithin)
	}
	if err := y.p.exit(ctx, y.errOut.String()); err != nil {
		return err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.err == nil && early {
		return fmt.Errorf("%s: it had ended before", y.p.name)
	}
	return y.err
}
