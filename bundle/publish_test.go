package bundle

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/internal/echo"
)

// aliasAddr is a loopback address that no other test uses.
func aliasAddr() netip.Addr {
	var b [2]byte
	_, _ = rand.Read(b[:])
	return netip.AddrFrom4([4]byte{127, 77, b[0], b[1] | 2})
}

// What is published answers at its address with the bundle's proof, and at no other address of this host.
func TestPublish(t *testing.T) {
	t.Parallel()
	at := aliasAddr()
	c := runBundle(t, WithDaemons("proxy"), WithPublish(at, Published{Container: 8888, Host: 8888}, Published{Container: 7001}), WithCanaryPorts(7001))
	proxy, ok := c.Published(8888)
	if !ok || proxy != netip.AddrPortFrom(at, 8888) {
		t.Fatalf("the proxy is published at %s, %t", proxy, ok)
	}
	if other, ok := c.Published(9099); ok {
		t.Errorf("port 9099 is published at %s", other)
	}
	canary, err := c.Canary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = canary.Close() }()
	if canary.Addr() != netip.AddrPortFrom(c.Addr(), 7001) || canary.Published().Addr() != at || canary.Published().Port() == 0 {
		t.Errorf("canary at %s, published at %s", canary.Addr(), canary.Published())
	}
	for name, on := range map[string]netip.AddrPort{"proxy": proxy, "canary": canary.Published()} {
		n := echo.NewNonce()
		if r, err := dialEcho(t.Context(), on, n); err != nil || r.Name != name || !c.Secret().Verify(n, r) {
			t.Errorf("%s: %+v, %v", on, r, err)
		}
		for _, elsewhere := range []netip.Addr{at.Next(), netip.MustParseAddr("127.0.0.1"), c.settings.network.Gateway} {
			n := echo.NewNonce()
			r, err := dialEcho(t.Context(), netip.AddrPortFrom(elsewhere, on.Port()), n)
			if c.Secret().Verify(n, r) {
				t.Errorf("%s answers on %s as well", name, elsewhere)
			} else if elsewhere == at.Next() && !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s on %s: %v, want it refused", name, elsewhere, err)
			}
		}
	}
}

// One canary at a time has a fixed port; the next waits for it, and takes it when it is given back.
func TestCanaryPort(t *testing.T) {
	t.Parallel()
	c := runBundle(t, WithCanaryPorts(7001))
	first, err := c.Canary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if y, err := c.Canary(short); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second canary on the port: %v, %v", y, err)
	}
	if first.Published().IsValid() {
		t.Errorf("published at %s unasked", first.Published())
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	again, err := Attach(t.Context(), strings.TrimPrefix(nameOf(t, c), "/"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Container{c, again} {
		y, err := c.Canary(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if y.Addr().Port() != 7001 {
			t.Errorf("listens on %s", y.Addr())
		}
		if err := y.Close(); err != nil {
			t.Error(err)
		}
	}
}

func nameOf(t *testing.T, c *Container) string {
	t.Helper()
	in, err := c.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return in.Name
}

// A binding that the engine made otherwise than asked, or besides, fails the start.
func TestPublishedElsewhere(t *testing.T) {
	t.Parallel()
	img, n := defaultImage(t), newNetwork(t, nil)
	at := aliasAddr()
	for name, tt := range map[string]struct {
		other testcontainers.ContainerCustomizer
		says  string
	}{
		"moved": {testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			h.PortBindings = network.PortMap{tcpPort(8888): {{HostIP: at.Next(), HostPort: "8888"}}}
		}), "port 8888 is not published at " + at.String() + ":8888 alone but at [" + at.Next().String() + ":8888]"},
		"one more": {testcontainers.WithExposedPorts("9/tcp"), "port 9/tcp is published unasked"},
	} {
		c, err := Run(t.Context(), img, WithNetwork(n, n.Host(2)), WithPublish(at, Published{Container: 8888, Host: 8888}), tt.other)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want %q", name, err, tt.says)
		}
		remove(t, "container", c.Remove)
	}
}

func TestPublishedPortTaken(t *testing.T) {
	t.Parallel()
	at := aliasAddr()
	runBundle(t, WithPublish(at, Published{Container: 8888, Host: 8888}))
	n := newNetwork(t, nil)
	c, err := Run(t.Context(), defaultImage(t), WithNetwork(n, n.Host(2)), WithPublish(at, Published{Container: 8888, Host: 8888}))
	t.Cleanup(func() { remove(t, "container", c.Remove) })
	if err == nil || !strings.Contains(err.Error(), at.String()+":8888") {
		t.Errorf("a second bundle at the address: %v", err)
	}
}
