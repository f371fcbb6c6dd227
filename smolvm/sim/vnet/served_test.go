//go:build linux

package vnet

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// A guest's own listener answers it, whatever the policy and whether or not the
// supervisor has had time to notice.
func TestOwnListenerAtOnce(t *testing.T) {
	for _, cfg := range []Config{open(TSI), {Backend: TSI, Restrict: true}, open(VirtioNet), {Backend: VirtioNet, Restrict: true}} {
		t.Run(fmt.Sprint(cfg.Backend, cfg.Restrict), func(t *testing.T) {
			m := boot(t, cfg)
			for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
				for range 10 {
					o := m.do(order{Op: "listen-dial", Addr: addr, Send: "n"})
					wantData(t, o, "guest n")
					if o.Elapsed > 100*time.Millisecond {
						t.Errorf("%s took %v", addr, o.Elapsed)
					}
				}
			}
			for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
				wantData(t, m.do(order{Op: "listen-dial", Network: "udp", Addr: addr, Send: "n"}), "guest n")
			}
		})
	}
}

// On a port of its own choice a listener under a policy is there once noticed,
// and gone once closed: then the policy speaks again.
func TestOwnListenerComesAndGoes(t *testing.T) {
	m := boot(t, Config{Backend: TSI, Restrict: true})
	for i, addr := range []string{"127.0.0.1:7100", "[::1]:7101", "127.9.9.9:7102"} {
		dial := order{Op: "dial", Addr: addr, Send: fmt.Sprint(i)}
		wantErrno(t, m.do(dial), "connect", syscall.EACCES)
		m.do(order{Op: "listen", Addr: addr})
		time.Sleep(3 * pollIdle)
		wantData(t, m.do(dial), fmt.Sprint("guest ", i))
		m.do(order{Op: "close", Addr: addr})
		time.Sleep(2*pollLingering + 3*pollIdle)
		wantErrno(t, m.do(dial), "connect", syscall.EACCES)
	}
}

// Without a policy the guest's listener comes before the host's on the same
// port, and the host's is back when it has gone.
func TestOwnListenerComesBeforeTheHosts(t *testing.T) {
	m := boot(t, open(TSI))
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		h := listenHost(t, "canary", host)
		dial := order{Op: "dial", Addr: h.addr.String(), Send: "n"}
		wantData(t, m.do(dial), "canary n")
		m.do(order{Op: "listen", Addr: h.addr.String()})
		wantData(t, m.do(dial), "guest n")
		m.do(order{Op: "close", Addr: h.addr.String()})
		time.Sleep(2*pollLingering + 2*pollOpen)
		wantData(t, m.do(dial), "canary n")
	}
}

// A listener on one address of 127.0.0.0/8 does not speak for its neighbours.
func TestOwnListenerIsExact(t *testing.T) {
	h := listenHost(t, "canary", "127.0.0.1:0")
	m := boot(t, open(TSI))
	m.do(order{Op: "listen", Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), h.addr.Port()).String()})
	wantData(t, m.do(order{Op: "dial", Addr: "127.0.0.9:" + fmt.Sprint(h.addr.Port()), Send: "n"}), "guest n")
}

// A server that closes its listener after one accept keeps its connection.
func TestConnectionOutlivesListener(t *testing.T) {
	for _, cfg := range []Config{open(TSI), {Backend: TSI, Restrict: true}} {
		m := boot(t, cfg)
		for _, addr := range []string{"127.0.0.1:7110", "[::1]:7111"} {
			wantData(t, m.do(order{Op: "one-shot", Addr: addr}), "kept")
		}
	}
}

// UDP of the guest's own stays inside from the first datagram on, also under a
// policy.
func TestOwnDatagrams(t *testing.T) {
	for _, cfg := range []Config{open(TSI), {Backend: TSI, Restrict: true}} {
		m := boot(t, cfg)
		for _, addr := range []string{"127.0.0.1:7120", "[::1]:7121"} {
			wantData(t, m.do(order{Op: "listen-dial", Network: "udp", Addr: addr, Send: "n"}), "guest n")
			wantData(t, m.do(order{Op: "sendto", Addr: addr, Send: "n"}), "guest n\n")
		}
		m.do(order{Op: "listen", Network: "udp", Addr: "0.0.0.0:7122"})
		time.Sleep(3 * pollUDP)
		wantData(t, m.do(order{Op: "dial", Network: "udp", Addr: "[::1]:7122", Send: "n"}), "guest n")
		wantData(t, m.do(order{Op: "dial", Network: "udp", Addr: "127.0.0.1:7122", Send: "n"}), "guest n")
		if d := m.dials(); len(d) > 0 {
			t.Errorf("dialled %v", d)
		}
	}
}

// An ephemeral port of the guest's that nobody serves is refused inside, and the
// host is not asked.
func TestEphemeralPortStaysInside(t *testing.T) {
	h := listenHost(t, "canary", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), ephemeral.last).String())
	shut := boot(t, Config{Backend: TSI, Restrict: true})
	wantErrno(t, shut.do(order{Op: "dial", Addr: h.addr.String()}), "connect", syscall.ECONNREFUSED)
	allowed := boot(t, Config{Backend: TSI, Restrict: true, Allow: prefixes("127.0.0.1/32")})
	wantData(t, allowed.do(order{Op: "dial", Addr: h.addr.String(), Send: "n"}), "canary n")
}

func TestServes(t *testing.T) {
	for _, c := range []struct {
		family uint8
		local  string
		want   string
	}{
		{syscall.AF_INET, "0.0.0.0:80", "[127.0.0.0/8]"},
		{syscall.AF_INET, "127.0.0.1:80", "[127.0.0.0/8]"},
		{syscall.AF_INET, "100.96.0.2:80", "[]"},
		{syscall.AF_INET6, "[::]:80", "[127.0.0.0/8 ::1/128]"},
		{syscall.AF_INET6, "[::1]:80", "[::1/128]"},
		{syscall.AF_INET6, "[::ffff:127.0.0.1]:80", "[127.0.0.0/8]"},
		{syscall.AF_INET6, "[fd53:4d00::2]:80", "[]"},
	} {
		s := guestSocket{family: c.family, local: netip.MustParseAddrPort(c.local)}
		if got := fmt.Sprint(s.serves()); got != c.want {
			t.Errorf("%s serves %s, want %s", c.local, got, c.want)
		}
	}
}
