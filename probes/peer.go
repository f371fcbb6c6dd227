package probes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// A PeerSpec is what another sandbox beside this one is to be.
type PeerSpec struct {
	// Allow is the only address that it may reach. The zero Addr is an allowlist that is there and empty, so that it may reach nothing;
	// where that is refused, the error is ErrRefused.
	Allow netip.Addr
	// Publish is a port of its own that the host's loopback is to take connections at, under the same number; 0 is none.
	Publish uint16
}

// A Peer is another sandbox of the same engine, with the agent in it, that is there for this run alone.
type Peer struct {
	// Name is the peer's in reports.
	Name string
	// Run is the peer's.
	Run RunFunc
	// Published is where PeerSpec.Publish is on the host; the zero AddrPort is that this engine does not publish it, as Unpublished says.
	Published   netip.AddrPort
	Unpublished string
	// Home is the directory of the host's in which the engine keeps what the peer writes; "" is not known.
	Home string
	// Denials is the enforcer's log about the peer; nil means that it keeps none.
	Denials func(ctx context.Context, since time.Time) ([]Denial, error)
	// Close takes the peer down; it goes on to its end where ctx ends meanwhile.
	Close func(ctx context.Context) error
}

const (
	// peerBudget bounds how long a peer listens; it is told when to end.
	peerBudget = 30 * time.Second
	// peerUp is how long its listener may take to come up.
	peerUp    = 10 * time.Second
	peerRetry = 10 * time.Millisecond
)

// A guestHost is a peer that listens and writes down who comes.
type guestHost struct {
	peer     *Peer
	rig      *rig
	allowed  *aim   // at the canary on the one address that the peer may reach, as the guest dials it; nil if there is none
	none     string // why
	batch    *batch
	items    []item
	serving  *trialPlan // what it listens by
	last     echo.Nonce // ends it
	done     chan struct{}
	findings []Finding
}

// plan plans what the peer does: it listens at the published port and at shared until it is told to end, dials itself, and makes the
// attempts of items.
func (h *guestHost) plan(shared netip.AddrPort, items []item) (err error) {
	at := netip.AddrPortFrom(netip.IPv4Unspecified(), h.peer.Published.Port())
	if h.rig.site.Backend == TSI {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()) // the host binds what the guest chooses
	}
	listen := aim{network: agent.Serve, addr: at, also: shared, wall: kernelWall, budget: peerBudget, home: shared, homeAfter: peerFirst}
	listen.send = func(echo.Nonce) [][]byte { return [][]byte{[]byte(h.last)} }
	h.items = append([]item{{probe: Probe{ID: "peer"}, aims: []aim{listen}}}, items...)
	if h.batch, err = h.rig.batch(h.items); err != nil {
		return err
	}
	h.serving = h.batch.plan.trials[0]
	return nil
}

// run goes on until end.
func (h *guestHost) run(ctx context.Context) {
	h.done = make(chan struct{})
	go func() {
		defer close(h.done)
		h.batch.run(ctx)
		h.findings = h.batch.findings(h.items)
	}()
}

// end tells the listener to end, and waits for it.
func (h *guestHost) end(ctx context.Context) {
	_ = h.knock(ctx, h.last)
	<-h.done
}

// close takes the peer down.
func (h *guestHost) close(ctx context.Context) error {
	return errors.Join(h.rig.close(), h.peer.Close(context.WithoutCancel(ctx)))
}

// up waits until the listener answers.
func (h *guestHost) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, peerUp)
	defer cancel()
	for {
		err := h.alive(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-h.done:
			return fmt.Errorf("%s ended before it listened: %s", h.peer.Name, h.batch.fault)
		case <-ctx.Done():
			return err
		case <-time.After(peerRetry):
		}
	}
}

func (h *guestHost) alive(ctx context.Context) error { return h.knock(ctx, echo.NewNonce()) }

// knock says n at the published port, and is an error if the listener does not repeat it.
func (h *guestHost) knock(ctx context.Context, n echo.Nonce) error {
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", h.peer.Published.String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write(echo.Request(n)); err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, echo.MaxReply))
	if !bytes.Contains(answer, []byte(n)) {
		return errors.Join(fmt.Errorf("%s does not repeat the nonce", h.peer.Name), err)
	}
	return nil
}

// target is the listener as a probe dials it. Its log is read when it has ended.
func (h *guestHost) target() Target {
	return Target{Name: h.peer.Name, Addr: h.peer.Published, Alive: h.alive, Sightings: func(context.Context) ([]echo.Sighting, error) {
		select {
		case <-h.done:
		default:
			return nil, nil
		}
		if h.batch.fault != "" {
			return nil, errors.New(h.batch.fault)
		}
		return guestbook(h.peer.Name, h.batch.answer.Results[h.serving.shots[0].ID].Reply), nil
	}}
}

// guestbook reads what a guest that served has written down: a nonce and who brought it, a line each. Its own dial is marked.
func guestbook(name string, page []byte) []echo.Sighting {
	var all []echo.Sighting
	for line := range strings.Lines(string(page)) {
		words := strings.Fields(line)
		if len(words) < 2 || !echo.Nonce(words[0]).Valid() {
			continue
		}
		all = append(all, echo.Sighting{Name: name, Network: "tcp", Nonce: echo.Nonce(words[0]), Peer: plainText(words[1])})
	}
	return all
}
