package bundle

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/internal/echo"
)

func TestNoDaemons(t *testing.T) {
	t.Parallel()
	secret := echo.NewSecret()
	c := runBundle(t, WithSecret(secret), testcontainers.WithLabels(map[string]string{LabelSlug: "x-1"}))
	if c.Addr() != c.settings.network.Host(2) || c.Secret() != secret || len(c.Daemons()) != 0 {
		t.Errorf("at %s with daemons %q", c.Addr(), c.Daemons())
	}
	if logged, err := c.log(t.Context()); err != nil || string(logged) != "no daemons selected\n" {
		t.Errorf("log %q, %v", logged, err)
	}
	if ls := mine(t, c); len(ls) != 0 {
		t.Errorf("something listens: %v", ls)
	}
	in, err := c.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if l := in.Config.Labels; l[LabelSlug] != "x-1" || l[LabelOwner] == "" || l[LabelStarted] == "" {
		t.Errorf("labels %v", l)
	}
	h := in.HostConfig
	if !h.ReadonlyRootfs || !slices.Equal(h.CapDrop, []string{"ALL"}) || !slices.Contains(h.SecurityOpt, "no-new-privileges") || in.Config.User != unprivileged {
		t.Errorf("not hardened: %+v, user %q", h, in.Config.User)
	}
	if len(h.PortBindings) != 0 || len(in.NetworkSettings.Ports) != 0 {
		t.Errorf("ports are published: %v %v", h.PortBindings, in.NetworkSettings.Ports)
	}
}

// mine lists what PID 1's processes listen on: Docker's resolver, which has no process here, left out.
func mine(t *testing.T, c *Container) []string {
	t.Helper()
	ls, err := c.Listeners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range ls {
		if l.PID != 0 || !l.Addr.Addr().IsLoopback() || l.Addr.Port() == 9099 {
			out = append(out, l.Network+" "+l.Addr.String()+" "+l.Command)
		}
	}
	slices.Sort(out)
	return out
}

func TestProxyAndEgress(t *testing.T) {
	t.Parallel()
	c := runBundle(t, WithDaemons("proxy", "egress"), WithProxyAllow("example.com"))
	want := []string{"tcp 0.0.0.0:8888 bottle-bundle daemon proxy", "tcp 127.0.0.1:9099 bottle-bundle daemon egress"}
	if got := mine(t, c); !slices.Equal(got, want) {
		t.Errorf("listeners %q, want %q", got, want)
	}
	n := echo.NewNonce()
	if r, err := c.Echo(t.Context(), netip.MustParseAddrPort("127.0.0.1:9099"), n); err != nil || r.Name != "egress" || !c.Secret().Verify(n, r) {
		t.Errorf("egress from inside: %+v, %v", r, err)
	}
	seen(t, c, "egress", n)
	if _, err := c.Echo(t.Context(), netip.AddrPortFrom(c.Addr(), 9099), n); err == nil {
		t.Error("egress answers on the container's address")
	}
	if _, err := c.Echo(t.Context(), netip.MustParseAddrPort("127.0.0.1:1"), n); err == nil {
		t.Error("an echo from where nothing listens")
	}

	sharesBridge(t, c)
	n = echo.NewNonce()
	if r, err := dialEcho(t.Context(), netip.AddrPortFrom(c.Addr(), 8888), n); err != nil || r.Name != "proxy" || !c.Secret().Verify(n, r) {
		t.Errorf("proxy from the host: %+v, %v", r, err)
	}
	seen(t, c, "proxy", n)
	if _, err := dialEcho(t.Context(), netip.AddrPortFrom(c.Addr(), 9099), n); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("egress from the host: %v, want it refused", err)
	}
	ssrf(t, c)
}

// ssrf asks the proxy, from outside, for what only the container itself may reach.
func ssrf(t *testing.T, c *Container) {
	t.Helper()
	conn, err := net.Dial("tcp", netip.AddrPortFrom(c.Addr(), 8888).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, "GET http://127.0.0.1:9099/.bottle/echo/"+string(echo.NewNonce())+" HTTP/1.0\r\n\r\n")
	if b, _ := io.ReadAll(conn); !bytes.HasPrefix(b, []byte("HTTP/1.0 403")) || !bytes.Contains(b, []byte("rule loopback")) {
		t.Errorf("the proxy led to the egress hop: %q", b)
	}
}

// seen fails unless the bundle witnessed n: at once, for it was answered.
func seen(t *testing.T, c *Container, name string, n echo.Nonce) {
	t.Helper()
	ss, err := c.Sightings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(ss, func(s echo.Sighting) bool { return s.Name == name && s.Nonce == n && s.Network == "tcp" }) {
		t.Errorf("%s never saw %s: %v", name, n, ss)
	}
}

func TestEgressOpenToTheNetwork(t *testing.T) {
	t.Parallel()
	c := runBundle(t, WithDaemons("proxy", "egress"), WithListen("egress", netip.MustParseAddrPort("0.0.0.0:9099")))
	sharesBridge(t, c)
	n := echo.NewNonce()
	if r, err := dialEcho(t.Context(), netip.AddrPortFrom(c.Addr(), 9099), n); err != nil || r.Name != "egress" || !c.Secret().Verify(n, r) {
		t.Errorf("%+v, %v; want the mutant reached", r, err)
	}
}

func TestUnknownDaemon(t *testing.T) {
	t.Parallel()
	img, n := defaultImage(t), newNetwork(t, nil)
	c, err := Run(t.Context(), img, WithNetwork(n, n.Host(2)), WithDaemons("proxy", "nosuch"))
	t.Cleanup(func() { remove(t, "container", c.Remove) })
	if err == nil || c == nil {
		t.Fatalf("container %v, error %v; want both", c, err)
	}
	if !strings.Contains(err.Error(), `unknown daemon "nosuch" (known: egress, proxy)`) {
		t.Errorf("the error does not quote PID 1: %v", err)
	}
}

func TestNotReadyIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	img, n := defaultImage(t), newNetwork(t, nil)
	begin := time.Now()
	c, err := Run(t.Context(), img, WithNetwork(n, n.Host(2)), WithDaemons("proxy", "egress"), WithListen("egress", netip.MustParseAddrPort("0.0.0.0:8888")))
	t.Cleanup(func() { remove(t, "container", c.Remove) })
	if err == nil || c == nil || !strings.Contains(err.Error(), "not every daemon came up") {
		t.Errorf("container %v, error %v; want both", c, err)
	}
	if took := time.Since(begin); took > upWithin/2 { // by the word of PID 1, not by waiting in vain for another
		t.Errorf("known after %s", took)
	}
}

func TestNameConflict(t *testing.T) {
	t.Parallel()
	name := "bottle-test-" + string(echo.NewNonce())[:8]
	c := runBundle(t, WithName(name))
	other, err := Run(t.Context(), defaultImage(t), WithName(name))
	t.Cleanup(func() { remove(t, "container", other.Remove) })
	if !errdefs.IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	if _, err := c.Listeners(t.Context()); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
	twin, err := NewNetwork(t.Context(), NetworkOptions{Name: c.settings.network.Name, Pool: testPool})
	t.Cleanup(func() { remove(t, "network", twin.Remove) })
	if !errdefs.IsAlreadyExists(err) {
		t.Errorf("a second network of the name: %v", err)
	}
}

func TestStopsFast(t *testing.T) {
	t.Parallel()
	c := runBundle(t, WithDaemons("proxy", "egress"))
	begin, grace := time.Now(), 10*time.Second
	if err := c.Stop(t.Context(), &grace); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("SIGTERM took %s", took)
	} else {
		t.Logf("SIGTERM: %s", took.Round(time.Millisecond))
	}
	in, err := c.Inspect(t.Context())
	if err != nil || in.State.ExitCode != 0 {
		t.Errorf("exit code %d, %v", in.State.ExitCode, err)
	}
}

func TestRemoveTwice(t *testing.T) {
	t.Parallel()
	c := runBundle(t)
	for range 2 {
		if err := c.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
	var none *Container
	if err := none.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

// A container goes with its network, whether it is on it or not, and again.
func TestRemoveWith(t *testing.T) {
	t.Parallel()
	on := runBundle(t)
	other := newNetwork(t, nil)
	off, err := Run(t.Context(), defaultImage(t))
	t.Cleanup(func() { remove(t, "container", off.Remove) })
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		c *Container
		n *Network
	}{"on it": {on, on.settings.network}, "not on it": {off, other}, "no network": {on, nil}, "no container": {nil, other}} {
		for range 2 {
			if err := tt.c.RemoveWith(t.Context(), tt.n); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		gone(t, tt.c, tt.n)
	}
}

// gone fails while the engine knows one of them.
func gone(t *testing.T, c *Container, n *Network) {
	t.Helper()
	_, cli, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c != nil {
		if _, err := cli.ContainerInspect(t.Context(), c.GetContainerID(), client.ContainerInspectOptions{}); !errdefs.IsNotFound(err) {
			t.Errorf("the container is there: %v", err)
		}
	}
	if n != nil {
		if _, err := cli.NetworkInspect(t.Context(), n.ID, client.NetworkInspectOptions{}); !errdefs.IsNotFound(err) {
			t.Errorf("network %s is there: %v", n.Name, err)
		}
	}
}

// What runs must be what was asked for: each of these is a bundle that came up by its own account.
func TestRunDoesNotTakeItsWord(t *testing.T) {
	t.Parallel()
	img, n := defaultImage(t), newNetwork(t, nil)
	env := func(key, value string) testcontainers.ContainerCustomizer {
		return testcontainers.WithEnv(map[string]string{key: value})
	}
	for name, tt := range map[string]struct {
		opts []testcontainers.ContainerCustomizer
		says string
	}{
		"on another network": {
			// testcontainers does not find it either, and would leave the engine to take its default bridge.
			[]testcontainers.ContainerCustomizer{WithNetwork(&Network{Name: "bottle-nosuch", Subnet: n.Subnet, Gateway: n.Gateway}, n.Host(9))},
			"network bottle-nosuch not found",
		},
		"egress open behind our back": {
			[]testcontainers.ContainerCustomizer{WithNetwork(n, n.Host(3)), WithDaemons("egress"), env("BOTTLE_EGRESS_LISTEN", "0.0.0.0:9099")},
			"egress does not listen on 127.0.0.1:9099",
		},
		"another secret": {
			[]testcontainers.ContainerCustomizer{WithNetwork(n, n.Host(4)), WithDaemons("proxy"), env("BOTTLE_ECHO_SECRET", echo.NewSecret().String())},
			"instead of proxy",
		},
	} {
		c, err := Run(t.Context(), img, tt.opts...)
		t.Cleanup(func() { remove(t, "container", c.Remove) })
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want %q", name, err, tt.says)
		}
	}
}

// A logger of the user's gets testcontainers' lines; without one there are none.
func TestLogger(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	runBundle(t, testcontainers.WithLogger(log.New(&buf, "", 0)))
	if buf.Len() == 0 {
		t.Error("the user's logger got nothing")
	}
}
