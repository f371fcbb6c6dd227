package bundle

import (
	"crypto/rand"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// plannedNetwork is removed with the test, whether it was made or not.
func plannedNetwork(t *testing.T) *Network {
	t.Helper()
	n, err := PlanNetwork(t.Context(), NetworkOptions{Name: "bottle-" + strings.ToLower(rand.Text()[:10]), Pool: testPool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, "network", n.Remove) })
	return n
}

// A container may be there before its network, and comes up on it.
func TestCreateBeforeItsNetwork(t *testing.T) {
	t.Parallel()
	img := defaultImage(t)
	n := plannedNetwork(t)
	c, err := Create(t.Context(), img, WithNetwork(n, n.Host(2)), WithCanary(7001))
	t.Cleanup(func() { remove(t, "container", c.Remove) })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Up(t.Context()); err == nil || !strings.Contains(err.Error(), n.Name) {
		t.Errorf("up without its network: %v", err)
	}
	if err := n.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CanarySightings(t.Context()); err != nil || c.Addr() != n.Host(2) {
		t.Errorf("at %s: %v", c.Addr(), err)
	}
}

// A container is up before its network is there, reaches nobody then, and comes to be on that network alone, where it answers.
func TestJoin(t *testing.T) {
	t.Parallel()
	img := defaultImage(t)
	n := plannedNetwork(t)
	c, err := Create(t.Context(), img, WithLateNetwork(n, n.Host(2)), WithDaemons("proxy", "egress"), WithCanary(7001))
	t.Cleanup(func() { remove(t, "container", c.Remove) })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if on := isOn(t, c); len(on) != 0 {
		t.Errorf("on %v before it joins any", on)
	}
	if err := c.Join(t.Context()); err == nil || !strings.Contains(err.Error(), n.Name) {
		t.Errorf("joins what is not there: %v", err)
	}
	if err := n.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := c.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("Join: %s", time.Since(begin).Round(time.Millisecond))
	if on := isOn(t, c); !slices.Equal(on, []string{n.Name}) {
		t.Errorf("on %v", on)
	}
	nonce := echo.NewNonce()
	reply, err := c.Echo(t.Context(), netip.AddrPortFrom(n.Host(2), 7001), nonce)
	if err != nil || !c.Secret().Verify(nonce, reply) {
		t.Errorf("at its own address: %+v, %v", reply, err)
	}
	sharesBridge(t, c)
	for name, port := range map[string]uint16{CanaryName: 7001, "proxy": 8888} {
		nonce := echo.NewNonce()
		reply, err := dialEcho(t.Context(), netip.AddrPortFrom(n.Host(2), port), nonce)
		if err != nil || reply.Name != name || !c.Secret().Verify(nonce, reply) {
			t.Errorf("%s, from this host: %+v, %v", name, reply, err)
		}
	}
}

// What has died since it was up is not proven up by joining.
func TestJoinDoesNotTakeItsWord(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, nil)
	c, err := Create(t.Context(), defaultImage(t), WithLateNetwork(n, n.Host(2)), WithDaemons("proxy"))
	t.Cleanup(func() { remove(t, "container", c.Remove) })
	if err == nil {
		err = c.Up(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	killDaemon(t, c, "proxy")
	if err := c.Join(t.Context()); err == nil || errors.Is(err, ErrLate) || !strings.Contains(err.Error(), "proxy") {
		t.Errorf("joined with a dead proxy: %v", err)
	}
}

// Run takes it all in one.
func TestRunJoins(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, nil)
	c, err := Run(t.Context(), defaultImage(t), WithLateNetwork(n, n.Host(3)), WithDaemons("proxy"))
	t.Cleanup(func() { remove(t, "container", c.Remove) })
	if err != nil {
		t.Fatal(err)
	}
	if on := isOn(t, c); !slices.Equal(on, []string{n.Name}) || c.Addr() != n.Host(3) {
		t.Errorf("on %v at %s", on, c.Addr())
	}
	if err := c.Leave(t.Context(), n); err != nil {
		t.Error(err)
	}
	if err := c.Leave(t.Context(), n); err == nil {
		t.Error("it left twice")
	}
	if err := c.RemoveWith(t.Context(), n); err != nil {
		t.Error(err)
	}
	gone(t, c, n)
}

// isOn are those that the engine has the container on.
func isOn(t *testing.T, c *Container) []string {
	t.Helper()
	in, err := c.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(in.NetworkSettings.Networks))
}
