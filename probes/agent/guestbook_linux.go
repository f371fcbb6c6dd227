package agent

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// visitTime bounds how long a visitor may take to say a nonce.
const visitTime = 2 * time.Second

// A guestbook is what came to a listener of the guest's: a line for each nonce, "nonce peer", with " udp" behind it of a datagram and
// " self" of the agent's own dial.
type guestbook struct {
	own   echo.Nonce
	last  echo.Nonce    // ends the book when it comes; "" never comes
	ended chan struct{} // closed then
	begun chan struct{} // closed when the agent's own dial came
	mu    sync.Mutex
	seen  map[string]bool // nonce and network
	self  string          // the line of the agent's own dial, "" until it came
	lines bytes.Buffer
	cut   bool
}

func newGuestbook(a Attempt) *guestbook {
	g := &guestbook{own: a.Nonce, ended: make(chan struct{}), begun: make(chan struct{}), seen: make(map[string]bool)}
	if len(a.Send) > 0 {
		g.last = echo.Nonce(a.Send[0])
	}
	return g
}

// bookRoom is what the others' lines may take of a reply: the agent's own has a place, and that there was more.
const bookRoom = MaxReply - 256

func (g *guestbook) greeted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.self != ""
}

// sign writes down the nonce in b, and returns its answer; nil if there is none, or it was here before.
func (g *guestbook) sign(b []byte, peer netip.AddrPort, mark string) []byte {
	nonce, ok := echo.ParseRequest(b)
	if !ok {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen[string(nonce)+mark] {
		return nil
	}
	line := fmt.Sprintf("%s %s%s", nonce, netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()), mark)
	switch {
	case nonce == g.own:
		if g.self == "" { // it may come over each network once
			close(g.begun)
		}
		g.self = line + " self\n"
	case g.lines.Len()+len(line) > bookRoom:
		g.cut = true
		return append(echo.Datagram(nonce), '\n')
	default:
		g.lines.WriteString(line + "\n")
	}
	g.seen[string(nonce)+mark] = true
	if nonce == g.last && mark == "" {
		close(g.ended)
	}
	return append(echo.Datagram(nonce), '\n')
}

// page is the book: the agent's own line first.
func (g *guestbook) page() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := append([]byte(g.self), g.lines.Bytes()...)
	if g.cut {
		b = append(b, "…\n"...)
	}
	return b
}

// visit reads what a visitor says up to the end of a line, and answers it.
func (g *guestbook) visit(s *stream, peer netip.AddrPort) {
	defer s.close()
	buf := make([]byte, 512)
	for n := 0; ; {
		k, err := unix.Read(s.fd, buf[n:])
		if err != nil {
			if s.again(err, unix.POLLIN) != nil {
				return
			}
			continue
		}
		if n += k; k == 0 || n == len(buf) || bytes.Contains(buf[:n], []byte("\n")) {
			if answer := g.sign(buf[:n], peer, ""); answer != nil {
				_ = s.write(answer)
			}
			return
		}
	}
}
