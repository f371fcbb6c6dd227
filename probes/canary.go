package probes

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"bottle.internal/internal/echo"
)

const (
	// visitLimit is how long a canary listens to one connection.
	visitLimit = 3 * time.Second
	// maxRequest is how much of a request a canary reads.
	maxRequest = 4 << 10
	// maxVisits bounds the connections that a canary serves at once; more wait to be accepted.
	maxVisits = 256
	// aliveLimit bounds a canary's dial of itself.
	aliveLimit = 3 * time.Second
)

// A Canary is a TCP listener that logs who came with which nonce, and proves to whoever came that it was there. It is bound to
// exactly one address. It is safe for concurrent use.
//
// Beside the echo it knows a nonce by its name in the first message of other protocols: in the server name or a protocol of a TLS
// ClientHello, in the target or Host of an HTTP request, in a label of a name that is asked for by DNS over TCP or, in the clear, over
// HTTPS. Network tells which in a sighting: "tcp" for an echo, else "tls", "http" or "dns". DNS is answered with the proof in TXT,
// everything else as an echo is.
type Canary struct {
	streamCanary
	addr netip.AddrPort
}

// NewCanary brings up a canary at addr, whose port may be 0 for any. listen is a plain net.Listen if nil. It must be closed.
func NewCanary(name string, addr netip.AddrPort, listen func(network, address string) (net.Listener, error)) (*Canary, error) {
	if listen == nil {
		listen = listenPlain
	}
	l, err := listen(tcpNetwork(addr.Addr()), addr.String())
	if err != nil {
		return nil, fmt.Errorf("probes: a canary at %q: %w", addr, err)
	}
	bound, err := boundTo(addr, l.Addr())
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	c := &Canary{addr: bound}
	c.serve(name, "tcp", l)
	return c, nil
}

// listenPlain is net.Listen without multipath TCP, which Go has its listeners speak on Linux: the kernel tells no zone of such a socket,
// so that one at a link-local address does not know its own.
func listenPlain(network, address string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(context.Background(), network, address)
}

func tcpNetwork(addr netip.Addr) string {
	if addr.Is6() {
		return "tcp6"
	}
	return "tcp4"
}

// boundTo is where a socket is that was to be at asked, whose port 0 is any. It is an error to be anywhere else.
func boundTo(asked netip.AddrPort, at net.Addr) (netip.AddrPort, error) {
	bound, err := netip.ParseAddrPort(at.String())
	if err != nil || bound.Addr() != asked.Addr() || (asked.Port() != 0 && bound.Port() != asked.Port()) {
		return netip.AddrPort{}, fmt.Errorf("probes: a canary at %q: the socket is at %q", asked, at)
	}
	return bound, nil
}

// Addr is where the canary listens.
func (c *Canary) Addr() netip.AddrPort { return c.addr }

// Target is the canary as a probe dials it.
func (c *Canary) Target() Target {
	return Target{Name: c.name, Addr: c.addr, Secret: c.secret, Alive: c.Alive, Sightings: c.Sightings}
}

// A streamCanary is what canaries have in common that listen for streams.
type streamCanary struct {
	name, network string
	secret        echo.Secret
	ledger        ledger

	listener net.Listener
	visits   sync.WaitGroup
	stop     context.CancelFunc
	// attend looks after one visitor, and closes conn; nil is as serveStream does.
	attend func(ctx context.Context, conn net.Conn, v *visit)
	// answer is what the sender of b, understood as m, gets back, nil for nothing; nil is prove.
	answer func(v *visit, m message, b []byte) []byte
}

// serve begins to answer whoever comes to l. It is called once, before anything else but a choice of secret and of what attends.
func (c *streamCanary) serve(name, network string, l net.Listener) {
	ctx, stop := context.WithCancel(context.Background())
	c.name, c.network, c.listener, c.stop = name, network, l, stop
	if c.secret == (echo.Secret{}) {
		c.secret = echo.NewSecret()
	}
	if c.answer == nil {
		c.answer = func(v *visit, m message, _ []byte) []byte { return m.proveStream(v, c.secret) }
	}
	if c.attend == nil {
		c.attend = func(ctx context.Context, conn net.Conn, v *visit) { serveStream(ctx, conn, v, v.sawAs, c.answer) }
	}
	c.visits.Go(func() { c.accept(ctx) })
}

// Secret is what the canary's proofs are made with.
func (c *streamCanary) Secret() echo.Secret { return c.secret }

// Sightings are the nonces that arrived, those of Alive among them. An error means that the log is not complete.
func (c *streamCanary) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	return c.ledger.sightings(ctx)
}

// Strangers are the connections since then that brought no nonce.
func (c *streamCanary) Strangers(since time.Time) []Stranger { return c.ledger.strangers("", since) }

// Alive dials the canary from its own position with a fresh nonce and checks the proof.
func (c *streamCanary) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	return knock(ctx, c.network, c.listener.Addr().String(), nil, c.secret)
}

// Close stops listening and ends every connection. It may be called twice.
func (c *streamCanary) Close() error {
	c.stop()
	_ = c.listener.Close()
	c.visits.Wait()
	return nil
}

func (c *streamCanary) accept(ctx context.Context) {
	tokens := make(chan struct{}, maxVisits)
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		v := c.ledger.enter(c.name, c.network, conn.RemoteAddr().String(), conn.LocalAddr().String())
		tokens <- struct{}{}
		c.visits.Go(func() {
			defer func() { <-tokens }()
			c.attend(ctx, conn, v)
		})
	}
}

// serveStream answers one stream: it reads a message, has its nonce logged by saw, and sends what answer makes of it.
func serveStream(ctx context.Context, conn io.ReadWriteCloser, v *visit, saw func(form string, n echo.Nonce), answer func(*visit, message, []byte) []byte) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if d, ok := conn.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Now().Add(visitLimit))
	}
	m, b := readMessage(conn, saw)
	if reply := answer(v, m, b); reply != nil {
		_, _ = conn.Write(reply)
	}
}

// readMessage reads until a message is whole, or nothing more comes. Its nonce is logged as soon as it is there, so that whoever
// leaves a message unfinished was seen all the same.
func readMessage(r io.Reader, saw func(form string, n echo.Nonce)) (message, []byte) {
	buf := make([]byte, 0, maxRequest)
	for seen := false; ; {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		last := err != nil || len(buf) == cap(buf)
		m := readStream(buf, last)
		if m.nonce != "" && !seen {
			seen = true
			saw(m.form, m.nonce)
		}
		if m.whole || last {
			return m, buf
		}
	}
}

// knock dials address, says hello if there is anything to say before, and has a fresh nonce proved.
func knock(ctx context.Context, network, address string, hello []byte, s echo.Secret) error {
	conn, err := nearby().DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	n := echo.NewNonce()
	if _, err := conn.Write(append(hello, echo.Request(n)...)); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(conn, echo.MaxReply))
	if err != nil {
		return err
	}
	reply, err := echo.ParseResponse(b)
	if err != nil {
		return fmt.Errorf("%q: %w", address, err)
	}
	if !s.Verify(n, reply) {
		return fmt.Errorf("%q: the proof is not its own: %w", address, echo.ErrForeign)
	}
	return nil
}
