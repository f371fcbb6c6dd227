package probes

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

func newICMPCanary(t *testing.T, addr string) *ICMPCanary {
	t.Helper()
	c, err := NewICMPCanary("pinged", netip.MustParseAddr(addr))
	if errors.Is(err, fs.ErrPermission) {
		t.Skip(err)
	}
	needs(t, netip.MustParseAddr(addr), err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// heard waits until c has logged that many pings.
func heard(t *testing.T, c *ICMPCanary, want int) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		n := len(sightings(t, c)) + len(c.Strangers(time.Time{}))
		if n == want {
			return
		}
		if n > want || time.Now().After(limit) {
			t.Fatalf("%d pings were heard, want %d", n, want)
		}
	}
}

func TestICMPCanaryHearsPings(t *testing.T) {
	own := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250)) // other processes ping 127.0.0.1
	for _, addr := range []string{own, "::1"} {
		c := newICMPCanary(t, addr)
		n := echo.NewNonce()
		for _, payload := range [][]byte{echo.Datagram(n), []byte("abcdefgh"), nil, padded(n)[0]} {
			if err := c.ping(t.Context(), payload); err != nil {
				t.Fatal(err)
			}
		}
		heard(t, c, 4)
		all := sightings(t, c)
		if len(all) != 2 || all[0].Nonce != n || all[1].Nonce != n || all[0].Network != "icmp" || all[0].Local != addr || all[0].Peer != addr {
			t.Errorf("%s: sightings %+v", addr, all)
		}
		if err := c.Target().Alive(t.Context()); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
		heard(t, c, 5)
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := c.Alive(t.Context()); err == nil {
			t.Errorf("%s: a closed canary is alive", addr)
		}
	}
}

// A ping of another address of the host is none of the canary's.
func TestICMPCanaryIsWhereItWasAsked(t *testing.T) {
	c, other := newICMPCanary(t, "127.0.0.1"), newICMPCanary(t, "127.0.0.2")
	if err := other.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	heard(t, c, 1)
	for _, addr := range []netip.Addr{{}, netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.MustParseAddr("192.0.2.213")} {
		if c, err := NewICMPCanary("x", addr); err == nil {
			_ = c.Close()
			t.Errorf("a canary at %q", addr)
		}
	}
}

func TestICMPCanaryNeedsRoot(t *testing.T) {
	err := asNobody(func() error {
		c, err := NewICMPCanary("x", netip.MustParseAddr("127.0.0.1"))
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("without privileges: %v", err)
	}
}

// asNobody calls f without any capability, on a thread of its own.
func asNobody(f func() error) error {
	if os.Geteuid() != 0 {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func TestPingPayload(t *testing.T) {
	four, six := netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()
	for name, tc := range map[string]struct {
		addr netip.Addr
		b    []byte
		ok   bool
	}{
		"nothing": {four, nil, false}, "cut": {four, []byte{8, 0, 0, 0, 0, 0, 0}, false}, "empty": {four, []byte{8, 0, 0, 0, 0, 0, 0, 0}, true},
		"a reply": {four, make([]byte, 8), false}, "the other family": {six, []byte{8, 0, 0, 0, 0, 0, 0, 0}, false}, "IPv6": {six, []byte{128, 0, 0, 0, 0, 0, 0, 0}, true},
		"a code": {four, []byte{8, 1, 0, 0, 0, 0, 0, 0}, false},
	} {
		if _, ok := pingPayload(tc.addr, tc.b); ok != tc.ok {
			t.Errorf("%s: %t", name, ok)
		}
	}
	if got := checksum([]byte{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7}); got != 0xb861 {
		t.Errorf("checksum %#x", got)
	}
}
