package bundle

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/internal/echo"
	"bottle.internal/internal/owner"
)

// TestMain lets the test binary be a process that makes a bundle and is killed (TestSweep).
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "orphan" {
		os.Exit(orphan(os.Args[2]))
	}
	os.Exit(m.Run())
}

// engine is the engine to test with. Without one the test is skipped with the reason; under BOTTLE_REQUIRE=1 it fails.
func engine(t *testing.T) Engine {
	t.Helper()
	e, err := Detect(t.Context())
	if err != nil {
		if os.Getenv("BOTTLE_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	e.Configure()
	return e
}

var image1 = struct {
	sync.Once
	ref string
	err error
}{}

// defaultImage is the image, built once.
func defaultImage(t *testing.T) string {
	t.Helper()
	e := engine(t)
	image1.Do(func() { image1.ref, image1.err = Image(context.Background(), e) })
	if image1.err != nil {
		t.Fatal(image1.err)
	}
	return image1.ref
}

// testPool keeps these tests' subnets apart from those of bottles that run on the machine.
var testPool = netip.MustParsePrefix("10.78.0.0/16")

// newNetwork is a network that is gone at the test's end.
func newNetwork(t *testing.T, labels map[string]string) *Network {
	t.Helper()
	engine(t)
	begin := time.Now()
	n, err := NewNetwork(t.Context(), NetworkOptions{Pool: testPool, Labels: labels})
	t.Cleanup(func() { remove(t, "network", n.Remove) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("NewNetwork: %s", time.Since(begin).Round(time.Millisecond))
	return n
}

// runBundle is a bundle on its own network, at .2, gone at the test's end.
func runBundle(t *testing.T, opts ...testcontainers.ContainerCustomizer) *Container {
	t.Helper()
	img, n := defaultImage(t), newNetwork(t, nil)
	begin := time.Now()
	c, err := Run(t.Context(), img, append([]testcontainers.ContainerCustomizer{WithNetwork(n, n.Host(2))}, opts...)...)
	t.Cleanup(func() { remove(t, "container", c.Remove) })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Run: %s", time.Since(begin).Round(time.Millisecond))
	return c
}

func remove(t *testing.T, what string, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	begin := time.Now()
	if err := f(ctx); err != nil {
		t.Errorf("removing the %s: %v", what, err)
	}
	t.Logf("Remove %s: %s", what, time.Since(begin).Round(time.Millisecond))
}

// dialEcho asks at for an echo from this process, which on native Linux shares the bridge.
func dialEcho(ctx context.Context, at netip.AddrPort, n echo.Nonce) (echo.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return echo.Ask(ctx, at, n)
}

// sharesBridge skips where container addresses are not this host's to dial.
func sharesBridge(t *testing.T, c *Container) {
	t.Helper()
	needGateway(t, c.settings.network)
}

func needGateway(t *testing.T, n *Network) {
	t.Helper()
	if !ownAddr(n.Gateway) {
		t.Skipf("the engine's bridges are not on this host (it has no %s), so containers cannot be dialled from it", n.Gateway)
	}
}

func ownAddr(a netip.Addr) bool {
	ps, _ := hostPrefixes()
	for _, p := range ps {
		if p.prefix.Contains(a) {
			return true
		}
	}
	return false
}

// orphan makes a network and a bundle, says so, and waits to be killed.
func orphan(img string) int {
	ctx := context.Background()
	n, err := NewNetwork(ctx, NetworkOptions{Pool: testPool})
	if err == nil {
		_, err = Run(ctx, img, WithNetwork(n, n.Host(2)))
	}
	fmt.Println("made", n, err, owner.Self())
	time.Sleep(time.Minute)
	return 1
}
