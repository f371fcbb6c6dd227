package bottletest

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

var errStep = errors.New("this step was told to fail")

// fakeSidecar stands in for the container side: it records what was asked of it and fails where it is told to.
type fakeSidecar struct {
	failAt string
	err    error        // what it fails with; nil is errStep
	at     bundleCanary // what canary returns
	log    string       // what logs returns

	mu    sync.Mutex
	calls []string
}

func (f *fakeSidecar) call(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	if f.failAt == name {
		return cmp.Or(f.err, errStep)
	}
	return nil
}

func (f *fakeSidecar) use(*guestEngine) {}

func (f *fakeSidecar) prepare(context.Context) error { return f.call("prepare") }

func (f *fakeSidecar) planNetwork(context.Context, string, map[string]string, []netip.Prefix) (netip.Prefix, error) {
	return netip.MustParsePrefix("10.77.5.0/24"), f.call("planNetwork")
}

func (f *fakeSidecar) createNetwork(context.Context) error { return f.call("createNetwork") }

func (f *fakeSidecar) create(context.Context, Plan, map[string]string) error { return f.call("create") }

func (f *fakeSidecar) removeNetwork(context.Context) error { return f.call("removeNetwork") }

func (f *fakeSidecar) start(context.Context, Plan, map[string]string) error { return f.call("start") }

func (f *fakeSidecar) leave(context.Context) error { return f.call("leave") }

func (f *fakeSidecar) remove(context.Context) error { return f.call("remove") }

func (f *fakeSidecar) canary(context.Context) (bundleCanary, error) { return f.at, f.call("canary") }

func (f *fakeSidecar) echo(context.Context, netip.AddrPort, echo.Nonce) (echo.Reply, error) {
	return echo.Reply{}, f.call("echo")
}

func (f *fakeSidecar) sightings(context.Context) ([]echo.Sighting, error) {
	return nil, f.call("sightings")
}

func (f *fakeSidecar) listeners(context.Context) ([]bundle.Listener, error) {
	return nil, f.call("listeners")
}

func (f *fakeSidecar) logs(context.Context) ([]byte, error) { return []byte(f.log), nil }

func (f *fakeSidecar) halt(context.Context) (probes.Halted, error) {
	return probes.Halted{}, f.call("halt")
}

func (f *fakeSidecar) describe() string { return "fake" }

// fakeCanary listens at addr and answers with proofs of secret. A zero secret proves nothing.
type fakeCanary struct {
	listener net.Listener
	secret   echo.Secret
}

func newFakeCanary(t *testing.T, secret echo.Secret) fakeCanary {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := fakeCanary{l, secret}
	go c.serve()
	return c
}

func (c fakeCanary) serve() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		b := make([]byte, 1024)
		n, _ := conn.Read(b)
		if nonce, ok := echo.ParseRequest(b[:n]); ok {
			_, _ = conn.Write(echo.Response(echo.NewReply(c.secret, bundle.CanaryName, nonce, "", "")))
		}
		_ = conn.Close()
	}
}

func (c fakeCanary) Addr() netip.AddrPort { return netip.MustParseAddrPort(c.listener.Addr().String()) }

func (c fakeCanary) Sightings(context.Context) ([]echo.Sighting, error) { return nil, nil }

func (c fakeCanary) Close() error { return nil }
