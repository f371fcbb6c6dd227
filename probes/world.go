package probes

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"bottle.internal/internal/echo"
)

// A World is a sink that stands in for the rest of the internet: an engine that is hermetic hands it every flow that was let
// out to an address which is not this host's. It answers as a canary at any destination and logs which, so that a leak to a
// public address is seen by its nonce and no packet leaves the machine.
//
// An engine connects to the unix stream socket at Path and sends one line of JSON,
//
//	{"network":"tcp","destination":"198.51.100.77:443","source":"100.96.0.2:4711","machine":"name"}
//
// and then, for tcp, the bytes of the stream both ways; for udp, dns and icmp, frames both ways, each a big-endian 16-bit length
// and a payload. A flow of dns is what the engine's own resolver forwards: its frames are DNS messages, and the destination is the
// one that the guest asked. A flow of icmp is the payload of one ping. A name that has a nonce for a label is a sighting, and so is
// all else by which a Canary or a UDPCanary knows a nonce; the network of a sighting is the flow's.
// At the addresses of the clouds' metadata services it tells what those tell, in a text of its own that MetadataIn knows again.
// It is safe for concurrent use.
type World struct {
	dir      string
	secret   echo.Secret
	metadata metadata
	ledger   ledger
	asked    knownNames
	listener net.Listener
	flows    sync.WaitGroup
	stop     context.CancelFunc
}

// worldName is the name in a world's replies and sightings.
const worldName = "world"

// maxHeader bounds the line that opens a flow.
const maxHeader = 4 << 10

// A flow is the line that opens a connection to the world.
type flow struct {
	Network     string         `json:"network"`
	Destination netip.AddrPort `json:"destination"`
	Source      netip.AddrPort `json:"source"`
	Machine     string         `json:"machine"`
}

// NewWorld brings up a world on a socket in a fresh directory that only this user can enter. It must be closed.
func NewWorld() (*World, error) {
	dir, err := os.MkdirTemp("", "bottle-world-")
	if err != nil {
		return nil, fmt.Errorf("probes: a world: %w", err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "world"))
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("probes: a world: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &World{dir: dir, secret: echo.NewSecret(), metadata: newMetadata(), listener: l, stop: stop}
	w.flows.Go(func() { w.accept(ctx) })
	return w, nil
}

// Path is the socket's.
func (w *World) Path() string { return filepath.Join(w.dir, "world") }

// Secret is what the world's proofs are made with.
func (w *World) Secret() echo.Secret { return w.secret }

// Sightings are the nonces that arrived; Local is the destination they were sent to. An error means that the log is not
// complete.
func (w *World) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	return w.ledger.sightings(ctx)
}

// MetadataIn reports whether b has what only the metadata services told that the world has at their addresses.
func (w *World) MetadataIn(b []byte) bool { return w.metadata.in(b) }

// Strangers are the flows to addr since then that brought no nonce.
func (w *World) Strangers(addr netip.AddrPort, since time.Time) []Stranger {
	return w.ledger.strangers(addr.String(), since)
}

// aliveDestination is where Alive pretends to send to. It is an address for documentation, and not the one that is probed.
var aliveDestination = netip.MustParseAddrPort("198.51.100.1:7")

// Alive sends a flow of its own through the socket and checks the proof.
func (w *World) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	hello, err := json.Marshal(flow{Network: "tcp", Destination: aliveDestination, Source: aliveDestination, Machine: "control"})
	if err != nil {
		return err
	}
	return knock(ctx, "unix", w.Path(), append(hello, '\n'), w.secret)
}

// Target is the world as a probe dials it: at any address.
func (w *World) Target(addr netip.AddrPort) Target {
	return Target{Name: worldName, Addr: addr, Secret: w.secret, Alive: w.Alive, Sightings: w.Sightings}
}

// Close ends every flow and removes the socket. It may be called twice.
func (w *World) Close() error {
	w.stop()
	_ = w.listener.Close()
	w.flows.Wait()
	return os.RemoveAll(w.dir)
}

func (w *World) accept(ctx context.Context) {
	tokens := make(chan struct{}, maxVisits)
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return
		}
		tokens <- struct{}{}
		w.flows.Go(func() {
			defer func() { <-tokens }()
			w.serve(ctx, conn)
		})
	}
}

func (w *World) serve(ctx context.Context, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(visitLimit))
	r := bufio.NewReaderSize(conn, maxHeader)
	line, err := r.ReadSlice('\n')
	if err != nil {
		return
	}
	var f flow
	if json.Unmarshal(line, &f) != nil || !f.Destination.IsValid() {
		return
	}
	v := w.ledger.enter(worldName, f.Network, f.Source.String(), f.Destination.String())
	switch f.Network {
	case "tcp":
		serveStream(ctx, buffered{r, conn}, v, func(_ string, n echo.Nonce) { v.saw(n) }, w.answerStream)
	case "udp", "dns", "icmp":
		w.serveDatagrams(ctx, r, conn, v)
	}
}

// buffered is a connection whose first bytes were read ahead.
type buffered struct {
	*bufio.Reader
	conn net.Conn
}

func (b buffered) Write(p []byte) (int, error)   { return b.conn.Write(p) }
func (b buffered) Close() error                  { return b.conn.Close() }
func (b buffered) SetDeadline(t time.Time) error { return b.conn.SetDeadline(t) }

// answerStream is what comes back on a stream that began with b, understood as m: at the address of a metadata service what that
// tells, if b asks for it, and the proof everywhere else.
func (w *World) answerStream(v *visit, m message, b []byte) []byte {
	if at, err := netip.ParseAddrPort(v.Local); err == nil && isMetadataService(at) {
		if answer := w.metadata.answer(b); answer != nil {
			return answer
		}
	}
	return m.proveStream(v, w.secret)
}

// serveDatagrams answers each framed datagram with a framed reply. The first nonce is the flow's; each further one is a visit
// of its own.
func (w *World) serveDatagrams(ctx context.Context, r io.Reader, conn net.Conn, v *visit) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	for {
		b, err := readFrame(r)
		if err != nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(visitLimit))
		n, reply := w.read(v, b)
		if n != "" {
			if v.Nonce != "" {
				v = w.ledger.enter(worldName, v.Network, v.Peer, v.Local)
			}
			v.saw(n)
		}
		if reply == nil {
			continue
		}
		if err := writeFrame(conn, reply); err != nil {
			return
		}
	}
}

// read finds the nonce in a datagram, if any, and what is to be answered, nil for nothing.
func (w *World) read(v *visit, b []byte) (echo.Nonce, []byte) {
	m := readDatagram(b)
	switch {
	case v.Network == "icmp":
		return m.nonce, b // what came is what a ping gets back
	case m.form == "dns" && m.nonce == "":
		if slices.Contains(hostAliases, m.query.name) || w.asked.knows(m.query.name) {
			v.knew()
		}
		return "", m.query.answer(nil)
	case m.nonce == "" || v.Network == "dns" && m.form != "dns":
		return "", nil
	}
	return m.nonce, m.answerDatagram(echo.NewReply(w.secret, worldName, m.nonce, v.Peer, v.Local))
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeFrame(w io.Writer, b []byte) error {
	if len(b) > 1<<16-1 {
		return errors.New("probes: a datagram of more than 64 KiB")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}
