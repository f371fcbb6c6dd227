package daemon

import (
	"bytes"
	"net"
	"regexp"
	"sync"

	"bottle.internal/internal/echo"
)

// maxOverheard bounds, in bytes, how much of what a peer says is looked at for nonces.
const maxOverheard = 1 << 10

// askedNonce is a nonce where a prober puts one: in an echo's path, or in a header of its own.
var askedNonce = regexp.MustCompile(`(?:` + regexp.QuoteMeta(echo.Path) + `|X-Bottle-Nonce: )([0-9a-f]{32})\b`)

// notARequest is the ground on which what no handler ever saw is refused.
var notARequest = verdict{false, "not-a-request"}

// An overheard connection knows the nonces in the beginning of what its peer says, and nothing else of it, for people tell a proxy
// secrets: so a decision names whose it was, and a request that was refused before there was anything to decide is in the log too.
type overheard struct {
	net.Conn
	j *journal

	mu       sync.Mutex
	begin    []byte
	settled  bool // something was decided about it
	answered bool
}

// An overhearing listener has its connections overheard for j.
type overhearing struct {
	net.Listener
	j *journal
}

func (l overhearing) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &overheard{Conn: conn, j: l.j}
	l.j.peers.Store(c.peer(), c)
	return c, nil
}

func (c *overheard) peer() string { return c.RemoteAddr().String() }

func (c *overheard) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin = append(c.begin, b[:min(n, maxOverheard-len(c.begin))]...)
	return n, err
}

func (c *overheard) Write(b []byte) (int, error) {
	if c.turnsAway(b) {
		c.j.decide("-", c.peer(), "", notARequest)
	}
	return c.Conn.Write(b)
}

// turnsAway reports whether b begins the connection's first answer, and refuses what nobody decided about.
func (c *overheard) turnsAway(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.answered && !c.settled
	c.answered = true
	return first && (bytes.HasPrefix(b, []byte("HTTP/1.1 4")) || bytes.HasPrefix(b, []byte("HTTP/1.0 4")))
}

// settle notes that something was decided, and returns the nonces that were heard.
func (c *overheard) settle() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = true
	var all []string
	for _, m := range askedNonce.FindAllSubmatch(c.begin, -1) {
		all = append(all, string(m[1]))
	}
	return all
}

func (c *overheard) Close() error {
	c.j.peers.Delete(c.peer())
	return c.Conn.Close()
}

func (c *overheard) CloseWrite() error { return closeWrite(c.Conn) }

func (c *overheard) CloseRead() error { return closeRead(c.Conn) }
