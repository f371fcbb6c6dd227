package probes

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"bottle.internal/internal/echo"
)

// An address that is not this host's is not dialled: a try that left this machine could meet anything.
func TestIntrusionStaysAtHome(t *testing.T) {
	c := newCanary(t, "home", anyLoopback)
	for at, want := range map[netip.AddrPort]bool{c.Addr(): true, netip.MustParseAddrPort("198.51.100.77:443"): false} {
		in := &intrusion{at: at}
		in.try(t.Context())
		if got := in.inside != "" || in.vague != ""; got != want {
			t.Errorf("%s: inside %q, vague %q", at, in.inside, in.vague)
		}
	}
}

// Who is let in and answered late has come in; who is let in and not answered before the end has met something.
func TestIntrusionThatIsAnsweredLate(t *testing.T) {
	answer := func(after time.Duration) netip.AddrPort {
		l, err := net.Listen("tcp", anyLoopback.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
				time.Sleep(after)
				readMessage(conn, func(_ string, n echo.Nonce) { _, _ = fmt.Fprintln(conn, n) })
				_ = conn.Close()
			}
		}()
		return l.Addr().(*net.TCPAddr).AddrPort()
	}
	late := &intrusion{at: answer(2 * visitDial)}
	if late.try(t.Context()); late.inside == "" {
		t.Errorf("it came in and does not say so: %q", late.vague)
	}
	ctx, cancel := context.WithTimeout(t.Context(), visitDial)
	defer cancel()
	never := &intrusion{at: answer(time.Minute)}
	begin := time.Now()
	if never.try(ctx); never.vague == "" || never.inside != "" || time.Since(begin) > visitAnswer/2 {
		t.Errorf("inside %q, vague %q, after %s", never.inside, never.vague, time.Since(begin))
	}
}

// The gap is from the beginning of one try to the end of the next, the ends of the batch among them.
func TestIntrusionGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &intrusion{since: time.Now()}
		try := func(after, takes time.Duration) {
			time.Sleep(after)
			start := time.Now()
			time.Sleep(takes)
			in.note(start)
		}
		for _, c := range []struct{ after, takes, want time.Duration }{
			{3, 1, 4}, // from the beginning of the batch
			{2, 1, 4}, // 1+2+1
			{1, 5, 7}, // 1+1+5
			{0, 1, 7}, // 5+0+1
			{9, 0, 10},
		} {
			if try(c.after, c.takes); in.gap != c.want {
				t.Errorf("after %d, taking %d: %d, want %d", c.after, c.takes, in.gap, c.want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(20 * time.Nanosecond)
		if in.knock(ctx); in.gap != 20 {
			t.Errorf("at the end of the batch: %d", in.gap)
		}
	})
}
