//go:build linux

package vnet

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// freePort is a port that nobody listens on, on any address of this host's.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// visit dials the host's port as anybody on the host would.
func visit(ip string, port uint16, nonce string) outcome {
	return dialOnce(order{Network: "tcp", Addr: netip.AddrPortFrom(netip.MustParseAddr(ip), port).String(), Send: nonce, Wait: time.Second})
}

// wantPublished waits until the host answers for the guest: on tsi its listener
// has to be noticed.
func wantPublished(t *testing.T, ip string, port uint16) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	var o outcome
	for time.Now().Before(deadline) {
		if o = visit(ip, port, "n"); o.Data == "guest n" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%s:%d: got %s, want the guest's answer", ip, port, o)
}

func wantClosed(t *testing.T, ip string, port uint16) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	var o outcome
	for time.Now().Before(deadline) {
		if o = visit(ip, port, "n"); o.Errno == syscall.ECONNREFUSED && o.Step == "connect" {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%s:%d: got %s, want a closed port", ip, port, o)
}

// On virtio-net the host listens on its loopback from the start, whatever the
// guest does, and dials the guest's address.
func TestPublishOnVirtioNet(t *testing.T) {
	for _, restrict := range []bool{false, true} {
		port := freePort(t)
		m := boot(t, Config{Backend: VirtioNet, Restrict: restrict, Publish: []Port{{port, 8080}}})
		for _, ip := range []string{"127.0.0.1", "::1"} {
			if o := visit(ip, port, "n"); o.Errno != syscall.ECONNRESET {
				t.Errorf("%s: got %s, want ECONNRESET before the guest listens", ip, o)
			}
		}
		if own, ok := ownV4(); ok {
			wantClosed(t, own.String(), port)
		}
		m.do(order{Op: "listen", Addr: "127.0.0.1:8080"})
		if o := visit("127.0.0.1", port, "n"); o.Errno != syscall.ECONNRESET {
			t.Errorf("got %s, want ECONNRESET from a guest that listens on its loopback alone", o)
		}
		m.do(order{Op: "close", Addr: "127.0.0.1:8080"})
		m.do(order{Op: "listen", Addr: "0.0.0.0:8080"})
		for _, ip := range []string{"127.0.0.1", "::1"} {
			wantData(t, visit(ip, port, "n"), "guest n")
		}
		m.Close()
		wantClosed(t, "127.0.0.1", port)
	}
}

// PublishAt is where, instead, and the only place.
func TestPublishAt(t *testing.T) {
	port := freePort(t)
	m := boot(t, Config{Backend: VirtioNet, Publish: []Port{{port, 8080}}, PublishAt: []netip.Addr{netip.MustParseAddr("127.0.0.77")}})
	m.do(order{Op: "listen", Addr: "0.0.0.0:8080"})
	wantData(t, visit("127.0.0.77", port, "n"), "guest n")
	wantClosed(t, "127.0.0.1", port)
	wantClosed(t, "::1", port)
}

// On tsi the host listens while the guest does, and where.
func TestPublishOnTSI(t *testing.T) {
	own, hasOwn := ownV4()
	for _, restrict := range []bool{false, true} {
		for _, c := range []struct {
			listen     string
			open, shut []string
		}{
			{"0.0.0.0", []string{"127.0.0.1", "127.9.9.9", "own"}, []string{"::1"}},
			{"127.0.0.1", []string{"127.0.0.1"}, []string{"127.0.0.2", "own", "::1"}},
			{"127.0.0.5", []string{"127.0.0.5"}, []string{"127.0.0.1", "own"}},
			{"::", []string{"127.0.0.1", "::1", "own"}, nil},
			{"::1", []string{"::1"}, []string{"127.0.0.1"}},
		} {
			t.Run(fmt.Sprint(c.listen, restrict), func(t *testing.T) {
				port := freePort(t)
				m := boot(t, Config{Backend: TSI, Restrict: restrict, Publish: []Port{{port, 8080}}})
				wantClosed(t, "127.0.0.1", port)
				at := net.JoinHostPort(c.listen, "8080")
				m.do(order{Op: "listen", Addr: at})
				for _, ip := range c.open {
					if ip == "own" && !hasOwn {
						continue
					}
					wantPublished(t, strings.ReplaceAll(ip, "own", own.String()), port)
				}
				for _, ip := range c.shut {
					if ip == "own" && !hasOwn {
						continue
					}
					wantClosed(t, strings.ReplaceAll(ip, "own", own.String()), port)
				}
				m.do(order{Op: "close", Addr: at})
				for _, ip := range c.open {
					wantClosed(t, strings.ReplaceAll(ip, "own", own.String()), port)
				}
			})
		}
	}
}

// A guest on tsi that connects to its own published port gets the host's port of
// the guest's number, not the one it is published on.
func TestOwnPublishedPortIsTheHosts(t *testing.T) {
	h := listenHost(t, "canary", "127.0.0.1:0")
	port := freePort(t)
	publish := []Port{{port, h.addr.Port()}}
	dial := order{Op: "dial", Addr: h.addr.String(), Send: "n"}
	m := boot(t, Config{Backend: TSI, Publish: publish})
	m.do(order{Op: "listen", Addr: h.addr.String()})
	wantData(t, m.do(dial), "canary n") // also before it was noticed
	wantPublished(t, "127.0.0.1", port)
	wantData(t, m.do(dial), "canary n")

	shut := boot(t, Config{Backend: TSI, Restrict: true, Publish: []Port{{freePort(t), 8081}}})
	shut.do(order{Op: "listen", Addr: "127.0.0.1:8081"})
	wantPublished(t, "127.0.0.1", shut.cfg.Publish[0].Host)
	wantErrno(t, shut.do(order{Op: "dial", Addr: "127.0.0.1:8081"}), "connect", syscall.EACCES)
	// A port that is not published is the guest's own, as ever.
	shut.do(order{Op: "listen", Addr: "127.0.0.1:8082"})
	time.Sleep(3 * pollIdle)
	wantData(t, shut.do(order{Op: "dial", Addr: "127.0.0.1:8082", Send: "n"}), "guest n")
}

// A bind of the host's that fails keeps the listener inside the guest.
func TestUnpublishablePortStaysInside(t *testing.T) {
	h := listenHost(t, "canary", "127.0.0.1:0")
	m := boot(t, Config{Backend: TSI, Publish: []Port{{h.addr.Port(), 8083}}})
	m.do(order{Op: "listen", Addr: "127.0.0.1:8083"})
	wantData(t, m.do(order{Op: "dial", Addr: "127.0.0.1:8083", Send: "n"}), "guest n")
	wantData(t, visit("127.0.0.1", h.addr.Port(), "n"), "canary n")
	wantLogged(t, m, "port 8083", "stays inside")
}

// A port of the host's that is taken is an error of Serve on virtio-net.
func TestPublishTakenPort(t *testing.T) {
	h := listenHost(t, "canary", "127.0.0.1:0")
	n := &Network{cfg: Config{Backend: VirtioNet, Publish: []Port{{h.addr.Port(), 80}}}}
	if err := newPublished(n).listenAll(); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v, want a taken port", err)
	}
}

func TestPublishedPortTakesMany(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		port := freePort(t)
		m := boot(t, Config{Backend: backend, Publish: []Port{{port, 8084}}})
		m.do(order{Op: "listen", Addr: "0.0.0.0:8084"})
		wantPublished(t, "127.0.0.1", port)
		o := dialMany(order{Network: "tcp", Addr: fmt.Sprint("127.0.0.1:", port), Send: "k", Times: 50, Wait: 2 * time.Second})
		wantData(t, o, "map[ok:50]")
	})
}

// Two machines at once: what one may reach of the host is the other's port.
func TestPublishedPortOfAnotherMachine(t *testing.T) {
	for _, server := range []Backend{TSI, VirtioNet} {
		for _, client := range []Backend{TSI, VirtioNet} {
			t.Run(fmt.Sprint(server, "-", client), func(t *testing.T) {
				at := netip.MustParseAddr("127.0.0.78")
				port := freePort(t)
				s := Config{Backend: server, Publish: []Port{{port, 8086}}}
				if server == VirtioNet {
					s.PublishAt = []netip.Addr{at}
				}
				a := boot(t, s)
				listen := "0.0.0.0:8086"
				if server == TSI {
					listen = at.String() + ":8086"
				}
				a.do(order{Op: "listen", Addr: listen})
				wantPublished(t, at.String(), port)
				b := boot(t, Config{Backend: client, Restrict: true, Allow: []netip.Prefix{netip.PrefixFrom(at, 32)}})
				to := netip.AddrPortFrom(at, port).String()
				if client == VirtioNet {
					// The guest's own loopback: no way out.
					wantErrno(t, b.do(order{Op: "dial", Addr: to}), "connect", syscall.ECONNREFUSED)
					return
				}
				wantData(t, b.do(order{Op: "dial", Addr: to, Send: "n"}), "guest n")
			})
		}
	}
}
