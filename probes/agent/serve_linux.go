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

// serve listens at the attempt's address until the budget is gone and reports every nonce that came, with its peer. It dials itself
// first, with the attempt's own nonce: that line is marked self.
func serve(a Attempt, r *Result, start time.Time) error {
	family, sa := sockaddr(a.Addr)
	l := stream{deadline: start.Add(a.Budget())}
	defer l.close()
	if err := l.socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return err
	}
	r.Stage = StageConnect
	_ = unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(l.fd, sa); err != nil {
		return err
	}
	if err := unix.Listen(l.fd, 16); err != nil {
		return err
	}
	g := &guestbook{own: a.Nonce}
	go func() {
		own := Attempt{Network: TCP4, Addr: dialable(a.Addr), Nonce: a.Nonce, BudgetMS: a.BudgetMS}
		if own.Addr.Addr().Is6() {
			own.Network = TCP6
		}
		for dial(own, time.Now()); time.Now().Before(l.deadline) && !g.greeted(); dial(own, time.Now()) {
			time.Sleep(selfPause) // on tsi a listen is not honoured at once
		}
	}()
	for {
		fd, peer, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == nil {
			g.visits.Go(func() { g.visit(fd, peer, l.deadline) })
			continue
		}
		if l.again(err, unix.POLLIN) != nil {
			break
		}
	}
	g.visits.Wait()
	r.Stage, r.Reply = StageDone, g.page.Bytes()
	return nil
}

// dialable is where a listener on all addresses is dialled.
func dialable(at netip.AddrPort) netip.AddrPort {
	switch {
	case !at.Addr().IsUnspecified():
		return at
	case at.Addr().Is6():
		return netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
}

// A guestbook is what came to a listener of the guest's.
type guestbook struct {
	own    echo.Nonce
	visits sync.WaitGroup
	mu     sync.Mutex
	page   bytes.Buffer
	self   bool // the guest's own dial came
}

func (g *guestbook) greeted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.self
}

func (g *guestbook) visit(fd int, peer unix.Sockaddr, deadline time.Time) {
	s := stream{fd: fd, open: true, deadline: deadline}
	defer s.close()
	buf := make([]byte, 512)
	n := 0
	for {
		k, err := unix.Read(fd, buf[n:])
		if err != nil {
			if s.again(err, unix.POLLIN) != nil {
				return
			}
			continue
		}
		if n += k; k == 0 || n == len(buf) || bytes.Contains(buf[:n], []byte("\n")) {
			break
		}
	}
	nonce, ok := echo.ParseRequest(buf[:n])
	if !ok {
		return
	}
	mark := ""
	if nonce == g.own {
		mark = " self"
	}
	g.mu.Lock()
	g.self = g.self || nonce == g.own
	fmt.Fprintf(&g.page, "%s %s%s\n", nonce, peerText(peer), mark)
	g.mu.Unlock()
	_ = s.write(append(echo.Datagram(nonce), '\n'))
}

func peerText(sa unix.Sockaddr) string {
	switch in := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr), uint16(in.Port)).String()
	}
	return "?"
}
