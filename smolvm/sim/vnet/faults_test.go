//go:build linux

package vnet

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A defect opens what it says and nothing else; without it the same guest is shut
// (TestPolicy has that for every target).
func TestDefects(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		w := listenWorld(t)
		for name, c := range map[string]struct {
			set  func(*Config)
			open func(target) bool
		}{
			"none":      {func(*Config) {}, func(target) bool { return false }},
			"open UDP":  {func(c *Config) { c.OpenUDP = true }, func(g target) bool { return g.udp }},
			"open port": {func(c *Config) { c.OpenPorts = []uint16{4444} }, func(g target) bool { return g.addr.Port() == 4444 }},
			"open IPv6": {func(c *Config) { c.OpenIPv6 = true }, func(g target) bool { return g.addr.Addr().Is6() }},
		} {
			t.Run(name, func(t *testing.T) {
				cfg := Config{Backend: backend, World: w.path, Restrict: true, HostGateway: true, FailFast: true, Floor: prefixes("198.51.100.9/32")}
				c.set(&cfg)
				m := boot(t, cfg)
				for i, g := range targets(t, backend, w) {
					nonce := fmt.Sprint(name, i)
					o := m.do(g.order(nonce, 150*time.Millisecond))
					if c.open(g) {
						wantReached(t, g, o, nonce)
					} else {
						wantDenied(t, backend, g, o, nonce)
					}
				}
				floored := target{"", true, netip.MustParseAddrPort("198.51.100.9:4444"), "world ", w}
				wantDenied(t, backend, floored, m.do(floored.order("floored", 100*time.Millisecond)), "floored")
			})
		}
	})
}

// What is only audited gets through, and the log has it all the same.
func TestAuditOnly(t *testing.T) {
	w := listenWorld(t)
	m := boot(t, Config{Backend: VirtioNet, World: w.path, Restrict: true, HostGateway: true, AuditOnly: true})
	for i, g := range targets(t, VirtioNet, w) {
		nonce := fmt.Sprint("audit", i)
		wantReached(t, g, m.do(g.order(nonce, 150*time.Millisecond)), nonce)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if text := strings.Join(m.logged, "\n"); !strings.Contains(text, testNet) {
		t.Errorf("the log says nothing of %s:\n%s", testNet, text)
	}
}

// A listener that nobody published is the host's where the guest bound it.
func TestPublishUnasked(t *testing.T) {
	for _, unasked := range []bool{true, false} {
		m := boot(t, Config{Backend: TSI, Restrict: true, PublishUnasked: unasked})
		for _, ip := range []string{"127.0.0.1", "0.0.0.0"} {
			port := freePort(t)
			m.do(order{Op: "listen", Addr: netip.AddrPortFrom(netip.MustParseAddr(ip), port).String()})
			if unasked {
				wantPublished(t, "127.0.0.1", port)
			} else {
				wantClosed(t, "127.0.0.1", port)
			}
		}
	}
}

// Published everywhere means every address of the host's, whatever the guest or
// the backend chose.
func TestPublishEverywhere(t *testing.T) {
	own, ok := ownV4()
	if !ok {
		unable(t, "this host has loopback addresses only")
	}
	eachBackend(t, func(t *testing.T, backend Backend) {
		port := freePort(t)
		cfg := Config{Backend: backend, Publish: []Port{{port, 8090}}, PublishAt: []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}}
		m := boot(t, cfg)
		listen := "0.0.0.0:8090"
		if backend == TSI {
			listen = "127.0.0.1:8090"
		}
		m.do(order{Op: "listen", Addr: listen})
		for _, ip := range []string{"127.0.0.1", "127.0.0.99", "::1", own.String()} {
			wantPublished(t, ip, port)
		}
		cfg.PublishAt, cfg.Publish[0].Host = nil, freePort(t)
		m = boot(t, cfg)
		m.do(order{Op: "listen", Addr: listen})
		wantPublished(t, "127.0.0.1", cfg.Publish[0].Host)
		wantClosed(t, own.String(), cfg.Publish[0].Host)
	})
}

// What is open for a while is shut afterwards.
func TestOpenFor(t *testing.T) {
	w := listenWorld(t)
	const open = 2 * time.Second
	begin := time.Now()
	m := boot(t, Config{Backend: VirtioNet, World: w.path, Restrict: true, HostGateway: true, FailFast: true, OpenFor: open})
	g := targets(t, VirtioNet, w)[0]
	if o := m.do(g.order("early", 150*time.Millisecond)); time.Since(begin) < open {
		wantReached(t, g, o, "early")
	}
	time.Sleep(time.Until(begin.Add(open + 500*time.Millisecond)))
	wantDenied(t, VirtioNet, g, m.do(g.order("late", 150*time.Millisecond)), "late")
}

// What is denied gets through while what is allowed is silent, and not after it has answered again.
func TestFailOpen(t *testing.T) {
	w := listenWorld(t)
	mute, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close() // nobody accepts: the kernel completes the handshake
	m := boot(t, Config{Backend: VirtioNet, World: w.path, Restrict: true, HostGateway: true, FailFast: true, FailOpen: true, Allow: prefixes("100.96.0.1/32")})
	g := target{"", false, netip.MustParseAddrPort(testNet + ":4444"), "world ", w}
	wantDenied(t, VirtioNet, g, m.do(g.order("before", 150*time.Millisecond)), "before")
	dead := target{"", false, netip.AddrPortFrom(gatewayV4, netip.MustParseAddrPort(mute.Addr().String()).Port()), "", w}
	m.do(dead.order("dead", 3*answerWithin))
	wantReached(t, g, m.do(g.order("open", 150*time.Millisecond)), "open")
}

// A policy that a flood opens is one again in the next second.
func TestFloodOpen(t *testing.T) {
	w := listenWorld(t)
	m := boot(t, Config{Backend: VirtioNet, World: w.path, Restrict: true, HostGateway: true, FailFast: true, FloodOpen: true})
	g := targets(t, VirtioNet, w)[0]
	wantDenied(t, VirtioNet, g, m.do(g.order("before", 150*time.Millisecond)), "before")
	for !m.flood.over() {
	}
	wantReached(t, g, m.do(g.order("under load", 150*time.Millisecond)), "under load")
	time.Sleep(time.Second)
	wantDenied(t, VirtioNet, g, m.do(g.order("after", 150*time.Millisecond)), "after")
}

// A policy that ends by itself does so some time after it has stopped a number of flows, and not before.
func TestLapse(t *testing.T) {
	w := listenWorld(t)
	m := boot(t, Config{Backend: VirtioNet, World: w.path, Restrict: true, HostGateway: true, FailFast: true, Lapse: time.Second})
	g := targets(t, VirtioNet, w)[0]
	time.Sleep(1100 * time.Millisecond)
	for range lapseAfter {
		wantDenied(t, VirtioNet, g, m.do(g.order("before", 150*time.Millisecond)), "before")
	}
	time.Sleep(1100 * time.Millisecond)
	wantReached(t, g, m.do(g.order("after", 150*time.Millisecond)), "after")
}
