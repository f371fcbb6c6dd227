package agent

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// served starts a listener of the guest's and returns when it answers.
func served(t *testing.T, a Attempt) <-chan Result {
	t.Helper()
	a.ID, a.Network = "x", Serve
	done := make(chan Result, 1)
	go func() { done <- dial(a, time.Now()) }()
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", a.Addr.String())
		if err == nil {
			_ = conn.Close() // one who says nothing
			return done
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// knocked asks an address for an echo and returns the answer, over tcp or udp.
func knocked(t *testing.T, network string, addr netip.AddrPort, n echo.Nonce) string {
	t.Helper()
	conn, err := net.Dial(network, addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	b := echo.Request(n)
	if network == "udp" {
		b = echo.Datagram(n)
	}
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	k, _ := io.ReadAtLeast(conn, buf, 1)
	return string(buf[:k])
}

func TestServe(t *testing.T) {
	for _, local := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		t.Run(local, func(t *testing.T) {
			t.Parallel()
			addr := netip.AddrPortFrom(netip.MustParseAddrPort(local).Addr(), freePort(t, local).Port()) // Go listens at [::] for 0.0.0.0
			a := Attempt{Addr: addr, Nonce: echo.NewNonce(), BudgetMS: 1000}
			done := served(t, a)
			stream, datagram := echo.NewNonce(), echo.NewNonce()
			for network, n := range map[string]echo.Nonce{"tcp": stream, "udp": datagram} {
				if got := knocked(t, network, dialable(addr)[0], n); got != "BOTTLE "+string(n)+"\n" {
					t.Errorf("%s: answered %q", network, got)
				}
			}
			if got := knocked(t, "tcp", dialable(addr)[0], "no nonce"); got != "" {
				t.Errorf("no nonce was answered with %q", got)
			}
			r := <-done
			r.reads(t, StageDone, "", Reachable)
			if fault := r.fault(Attempt{Network: Serve, Nonce: a.Nonce}); fault != "" {
				t.Error(fault)
			}
			lines := strings.Split(strings.TrimSuffix(string(r.Reply), "\n"), "\n")
			if len(lines) != 3 || !strings.HasPrefix(lines[0], string(a.Nonce)+" ") || !strings.HasSuffix(lines[0], " self") {
				t.Fatalf("%q", lines)
			}
			for _, line := range lines[1:] {
				f := strings.Fields(line)
				if _, err := netip.ParseAddrPort(f[1]); err != nil {
					t.Errorf("%q: %v", line, err)
				}
				if udp := strings.HasSuffix(line, " udp"); f[0] != string(stream) && !udp || f[0] != string(datagram) && udp {
					t.Errorf("%q", line)
				}
			}
		})
	}
}

// However many come, the agent's own line is there, and that there were more is said.
func TestServeMany(t *testing.T) {
	addr := freePort(t, "127.0.0.1:0")
	a := Attempt{Addr: addr, Nonce: echo.NewNonce(), BudgetMS: 2000}
	done := served(t, a)
	conn, err := net.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 100)
	for range 2 * MaxReply / 60 {
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		if _, err := conn.Write(echo.Datagram(echo.NewNonce())); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	r := <-done
	if text := string(r.Reply); len(text) > MaxReply || !strings.Contains(text, " self\n") || !strings.HasSuffix(text, "\n…\n") {
		t.Errorf("%d bytes, %.100q … %q", len(text), text, text[max(0, len(text)-20):])
	}
}

// A listener goes on for as long as it is asked to from when it was heard to listen, and not for all of its budget.
func TestServeListens(t *testing.T) {
	const listen = 150
	a := Attempt{ID: "x", Network: Serve, Addr: freePort(t, "127.0.0.1:0"), Nonce: echo.NewNonce(), BudgetMS: 20_000, ListenMS: listen}
	start := time.Now()
	r := dial(a, start)
	if took := time.Since(start); took < listen*time.Millisecond || took > a.Budget()/4 {
		t.Errorf("it went on for %s", took)
	}
	r.reads(t, StageDone, "", Reachable)
	for _, ms := range []int{-1, a.BudgetMS + 1} {
		a.ListenMS = ms
		if err := a.validate(nil); err == nil {
			t.Errorf("listening for %d ms is taken", ms)
		}
	}
	if err := (Attempt{ID: "x", Network: TCP4, Addr: a.Addr, Nonce: a.Nonce, BudgetMS: 10, ListenMS: 1}).validate(nil); err == nil {
		t.Error("a dial that listens is taken")
	}
}

func TestServeNowhere(t *testing.T) {
	taken := listener(t, "127.0.0.1:0", nil)
	for _, c := range []struct {
		addr  netip.AddrPort
		errno string
		want  Observation
	}{
		{taken, "EADDRINUSE", ProbeError},
		{at("198.51.100.1", 9), "EADDRNOTAVAIL", Unreachable},
	} {
		r := dial(Attempt{Network: Serve, Addr: c.addr, Nonce: echo.NewNonce(), BudgetMS: 500}, time.Now())
		r.reads(t, StageConnect, c.errno, c.want)
	}
}

// Two listeners that answer each other's answers do so once.
func TestServeAnswersOnce(t *testing.T) {
	g := &guestbook{seen: make(map[string]bool)}
	n := echo.NewNonce()
	peer := at("127.0.0.1", 9)
	if g.sign(echo.Datagram(n), peer, " udp") == nil || g.sign(echo.Datagram(n), peer, " udp") != nil {
		t.Error("a nonce was answered not once")
	}
	if g.sign([]byte("hello"), peer, " udp") != nil {
		t.Error("no nonce was answered")
	}
}

// A listener that is told what ends it ends when that comes, and is at both of its addresses until then.
func TestServeEnds(t *testing.T) {
	last, other := echo.NewNonce(), echo.NewNonce()
	a := Attempt{Addr: freePort(t, "127.0.0.1:0"), Also: freePort(t, "127.0.0.1:0"), Nonce: echo.NewNonce(), BudgetMS: 20000, Send: [][]byte{[]byte(last)}}
	begin := time.Now()
	done := served(t, a)
	knocked(t, "tcp", a.Also, other)
	knocked(t, "udp", a.Addr, last) // a datagram ends nothing: anybody can be its sender
	select {
	case r := <-done:
		t.Fatalf("ended: %+v", r)
	case <-time.After(50 * time.Millisecond):
	}
	knocked(t, "tcp", a.Addr, last)
	r := <-done
	if time.Since(begin) > 10*time.Second || !strings.Contains(string(r.Reply), string(other)) {
		t.Errorf("after %s: %q", time.Since(begin), r.Reply)
	}
	if conn, err := net.Dial("tcp", a.Also.String()); err == nil {
		_ = conn.Close()
		t.Error("the second address is served on")
	}
}
