//go:build linux

package vnet

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostLoopback is how a guest of that backend spells the host's 127.0.0.1 or ::1.
func hostLoopback(backend Backend, at netip.AddrPort) string {
	d := dialer{cfg: Config{Backend: backend, HostGateway: true}}
	for _, gateway := range []netip.Addr{gatewayV4, gatewayV6} {
		if spelled := netip.AddrPortFrom(gateway, at.Port()); d.hostAddress(spelled) == at {
			return spelled.String()
		}
	}
	return at.String()
}

// open is a Config without a policy.
func open(backend Backend) Config {
	return Config{Backend: backend, HostGateway: true, FailFast: true}
}

func eachBackend(t *testing.T, test func(t *testing.T, backend Backend)) {
	for _, backend := range []Backend{TSI, VirtioNet} {
		t.Run(string(backend), func(t *testing.T) { test(t, backend) })
	}
}

// What is sent comes back whole after the sender has ended its side.
func TestTransferAndHalfClose(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		m := boot(t, open(backend))
		for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
			at := listenEcho(t, host)
			for _, size := range []int{0, 1, 1 << 20, 10 << 20} {
				o := m.do(order{Op: "transfer", Addr: hostLoopback(backend, at), Bytes: size})
				wantData(t, o, "intact")
				t.Logf("%s: %d bytes each way in %v", host, size, o.Elapsed)
			}
		}
	})
}

// A connection from the port of one that has just ended is a new one.
func TestSourcePortIsUsedAgain(t *testing.T) {
	for backend, from := range map[Backend]string{TSI: "127.0.0.1:31000", VirtioNet: "100.96.0.2:31000"} {
		h := listenHost(t, "canary", "127.0.0.1:0")
		m := boot(t, open(backend))
		for i := range 5 {
			o := m.do(order{Op: "dial", Addr: hostLoopback(backend, h.addr), From: from, Send: fmt.Sprint(i)})
			wantData(t, o, fmt.Sprint("canary ", i))
			if o.Elapsed > 500*time.Millisecond {
				t.Errorf("%s: connect took %v", backend, o.Elapsed)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func TestParallelFlows(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		h := listenHost(t, "canary", "127.0.0.1:0")
		m := boot(t, open(backend))
		wantData(t, m.do(order{Op: "many", Addr: hostLoopback(backend, h.addr), Send: "k", Times: 50}), "map[ok:50]")
	})
}

// The relay table is bounded, and a flow that ends makes room.
func TestFlowLimit(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		at := hostLoopback(backend, listenEcho(t, "127.0.0.1:0"))
		m := boot(t, open(backend))
		o := m.do(order{Op: "hold", Addr: at, Times: maxFlows + 1})
		if o.Errno != syscall.ECONNREFUSED || o.Data != fmt.Sprint(maxFlows) {
			t.Fatalf("got %s after %s flows, want ECONNREFUSED after %d", o, o.Data, maxFlows)
		}
		m.do(order{Op: "close", Addr: "held 0"})
		deadline := time.Now().Add(2 * time.Second)
		for {
			o := m.do(order{Op: "dial", Addr: at, Send: "n"})
			if o.Errno == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("no room after a flow ended: %s", o)
			}
			time.Sleep(10 * time.Millisecond)
		}
		wantLogged(t, m, "more than 256 flows")
	})
}

// A closed port of the host: refused inside connect() on tsi, after it on
// virtio-net, and nothing at all there before smolvm 1.9.0.
func TestDeadDestination(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	t.Run("tsi", func(t *testing.T) {
		wantErrno(t, boot(t, open(TSI)).do(order{Op: "dial", Addr: closed.String()}), "connect", syscall.ECONNREFUSED)
	})
	t.Run("virtio-net", func(t *testing.T) {
		at := hostLoopback(VirtioNet, closed)
		o := boot(t, open(VirtioNet)).do(order{Op: "dial", Addr: at})
		if o.Errno != syscall.ECONNRESET { // in whichever call it catches
			t.Errorf("got %s, want ECONNRESET", o)
		}
		slow := open(VirtioNet)
		slow.FailFast = false
		o = boot(t, slow).do(order{Op: "dial", Addr: at, Wait: 300 * time.Millisecond})
		if o.Step != "read" || o.Problem != "timeout" {
			t.Errorf("got %s: %s, want a black hole", o.Step, o)
		}
	})
}

// Without a world an address off this machine is unreachable, and is not dialled.
func TestNoWorld(t *testing.T) {
	for _, addr := range []string{testNet + ":80", "[2001:db8::77]:80", "169.254.169.254:80", "1.1.1.1:443"} {
		m := boot(t, open(TSI))
		wantErrno(t, m.do(order{Op: "dial", Addr: addr}), "connect", syscall.ENETUNREACH)
		v := boot(t, open(VirtioNet))
		o := v.do(order{Op: "dial", Addr: addr})
		if o.Errno != syscall.ECONNRESET { // in whichever call it catches
			t.Errorf("got %s, want ECONNRESET", o)
		}
		for _, n := range []*machine{m, v} {
			n.do(order{Op: "sendto", Addr: addr, Send: "n", Wait: 50 * time.Millisecond})
			if d := n.dials(); len(d) > 0 {
				t.Errorf("dialled %v", d)
			}
		}
	}
}

// ENETUNREACH is an ICMP error that races connect()'s own lock: often enough.
func TestNoWorldIsPrompt(t *testing.T) {
	m := boot(t, open(TSI))
	for range 300 {
		wantErrno(t, m.do(order{Op: "dial", Addr: testNet + ":80"}), "connect", syscall.ENETUNREACH)
		if t.Failed() {
			return
		}
	}
}

// The world is told who wanted what.
func TestWorldLine(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		w := listenWorld(t)
		cfg := open(backend)
		cfg.World, cfg.Machine = w.path, "bottle-x"
		m := boot(t, cfg)
		wantData(t, m.do(order{Op: "dial", Addr: testNet + ":4444", Send: "n1"}), "world n1")
		wantData(t, m.do(order{Op: "sendto", Addr: testNet + ":4444", Send: "n2"}), "world n2")
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.flows) != 2 {
			t.Fatalf("got %d flows, want 2: %v", len(w.flows), w.flows)
		}
		for i, network := range []string{"tcp", "udp"} {
			f := w.flows[i]
			if f.Network != network || f.Destination != testNet+":4444" || f.Machine != "bottle-x" ||
				!strings.HasPrefix(f.Source, guestV4.String()+":") {
				t.Errorf("got %+v", f)
			}
		}
	})
}

// A world that is not there is as unreachable as none.
func TestWorldIsGone(t *testing.T) {
	cfg := open(TSI)
	cfg.World = t.TempDir() + "/nobody"
	wantErrno(t, boot(t, cfg).do(order{Op: "dial", Addr: testNet + ":80"}), "connect", syscall.ECONNREFUSED)
}

// The host's own resolver asks the internet, so port 53 of this host is the world's.
func TestResolverIsNotDialled(t *testing.T) {
	w := listenWorld(t)
	cfg := open(TSI)
	cfg.World = w.path
	m := boot(t, cfg)
	for _, at := range []string{"127.0.0.1:53", "[::1]:53"} {
		wantData(t, m.do(order{Op: "dial", Addr: at, Send: "t"}), "world t")
		wantData(t, m.do(order{Op: "sendto", Addr: at, Send: "u"}), "world u")
	}
	cfg.Backend = VirtioNet
	v := boot(t, cfg)
	for _, at := range []string{"100.96.0.1:53", "[fd53:4d00::1]:53"} {
		for _, network := range []string{"tcp", "udp"} {
			wantData(t, v.do(order{Op: "resolve", Network: network, Addr: at, Send: network + ".example"}), "NOERROR 198.51.100.53")
		}
	}
	if d := append(m.dials(), v.dials()...); len(d) > 0 {
		t.Errorf("dialled %v", d)
	}
}

// Before smolvm 1.7.2 the gateway is not the host.
func TestGatewayIsNotTheHost(t *testing.T) {
	h, w := listenHost(t, "canary", "127.0.0.1:0"), listenWorld(t)
	m := boot(t, Config{Backend: VirtioNet, World: w.path})
	at := netip.AddrPortFrom(gatewayV4, h.addr.Port()).String()
	wantData(t, m.do(order{Op: "dial", Addr: at, Send: "n"}), "world n")
	if d := m.dials(); len(d) > 0 {
		t.Errorf("dialled %v", d)
	}
}

// Close ends flows, takes the interface away and leaves nothing running.
func TestClose(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		at := listenEcho(t, "127.0.0.1:0")
		udp := listenHostUDP(t, "canary", "127.0.0.1:0")
		before := runtime.NumGoroutine()
		m := boot(t, open(backend))
		wantData(t, m.do(order{Op: "hold", Addr: hostLoopback(backend, at), Times: 20}), "20")
		wantData(t, m.do(order{Op: "sendto", Addr: hostLoopback(backend, udp.addr), Send: "n"}), "canary n")
		begin := time.Now()
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("Close took %v", d)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if got := m.do(order{Op: "interfaces"}).Data; got != "lo" {
			t.Errorf("the guest still has %s", got)
		}
		deadline := time.Now().Add(2 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<16)
				t.Fatalf("%d goroutines, had %d:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}
