package agent

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// A canary is a listener that writes down whose nonces came.
type canary struct {
	addr  netip.AddrPort
	mu    sync.Mutex
	seen  []echo.Nonce
	peers []string
	raw   [][]byte
	open  int // connections, now
	most  int
}

func (c *canary) note(b []byte, peer string) (echo.Nonce, bool) {
	n, ok := echo.ParseRequest(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = append(c.raw, bytes.Clone(b))
	c.peers = append(c.peers, peer)
	if ok {
		c.seen = append(c.seen, n)
	}
	return n, ok
}

func (c *canary) saw(n echo.Nonce) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.seen, n)
}

func (c *canary) peer(t *testing.T) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.peers) == 0 {
		t.Fatal("nobody came")
	}
	return c.peers[0]
}

func (c *canary) enter(n int) {
	c.mu.Lock()
	c.open += n
	c.most = max(c.most, c.open)
	c.mu.Unlock()
}

// streamCanary echoes on a stream: "tcp" or "unix".
func streamCanary(t *testing.T, network, address string) *canary {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := &canary{}
	c.addr, _ = netip.ParseAddrPort(l.Addr().String())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.enter(1)
			go func() {
				defer func() { _ = conn.Close(); c.enter(-1) }()
				buf := make([]byte, 512)
				k, _ := conn.Read(buf)
				if n, ok := c.note(buf[:k], conn.RemoteAddr().String()); ok {
					_, _ = conn.Write(echo.Response(echo.NewReply(echo.NewSecret(), "test", n, "", "")))
				}
			}()
		}
	}()
	return c
}

// datagramCanary answers every datagram by what answer makes of it; nil is an echo of its nonce.
func datagramCanary(t *testing.T, network, address string, answer func([]byte) [][]byte) *canary {
	t.Helper()
	l, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := &canary{addr: netip.MustParseAddrPort(l.LocalAddr().String())}
	go func() {
		buf := make([]byte, 4096)
		for {
			k, from, err := l.ReadFrom(buf)
			if err != nil {
				return
			}
			n, ok := c.note(buf[:k], from.String())
			if answer != nil {
				for _, b := range answer(buf[:k]) {
					_, _ = l.WriteTo(b, from)
				}
			} else if ok {
				_, _ = l.WriteTo(echo.Line(echo.NewReply(echo.NewSecret(), "test", n, "", "")), from)
			}
		}
	}()
	return c
}

// made is the result of a made now, whose form is checked as the host would.
func made(t *testing.T, a Attempt) Result {
	t.Helper()
	a.ID = "x"
	if a.Nonce == "" {
		a.Nonce = echo.NewNonce()
	}
	if a.BudgetMS == 0 {
		a.BudgetMS = 1000
	}
	if err := a.validate(nil); err != nil {
		t.Error(err)
		return Result{}
	}
	start := time.Now()
	r := dial(a, start)
	if took := time.Since(start); took > a.Budget()+2*time.Second {
		t.Errorf("took %s of %s", took, a.Budget())
	}
	if fault := r.fault(a); fault != "" {
		t.Errorf("%s: %+v", fault, r)
	}
	return r
}

// reads checks how far an attempt got and how it reads.
func (r Result) reads(t *testing.T, stage Stage, errno string, want Observation) {
	t.Helper()
	if r.Stage != stage || r.Errno != errno || r.Observation != want {
		t.Errorf("stage %q, errno %q, %q (reply %.80q); want %q, %q, %q", r.Stage, r.Errno, r.Observation, r.Reply, stage, errno, want)
	}
}
