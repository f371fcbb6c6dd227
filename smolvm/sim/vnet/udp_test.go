//go:build linux

package vnet

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Datagrams of every size come back, and one that goes to many goes nowhere.
func TestDatagrams(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		w := listenWorld(t)
		cfg := open(backend)
		cfg.World = w.path
		m := boot(t, cfg)
		for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
			at := hostLoopback(backend, listenHostUDP(t, "canary", host).addr)
			for _, size := range []int{1200, 9000, 65507} {
				wantData(t, m.do(order{Op: "sendto", Addr: at, Bytes: size}), fmt.Sprint(size))
			}
			o := m.do(order{Op: "dial", Network: "udp", Addr: at, Send: strings.Repeat("x", 1200)})
			if backend == TSI && host == "127.0.0.1:0" {
				wantErrno(t, o, "read", syscall.ECONNREFUSED) // a connected one stays inside: libkrunfw af_tsi.c
			} else {
				wantData(t, o, strings.Repeat("x", 1200))
			}
		}
		for _, many := range []string{"224.0.0.251:5353", "239.1.2.3:99"} {
			o := m.do(order{Op: "sendto", Addr: many, Send: "n", Wait: 50 * time.Millisecond})
			if o.Problem != "timeout" {
				t.Errorf("%s: got %s", many, o)
			}
		}
		if len(w.flows) > 0 {
			t.Errorf("the world got %v", w.flows)
		}
	})
}

// connect() of a UDP socket tells a tsi guest what sendto() does not: that the
// address is denied. On virtio-net neither says a word.
func TestConnectedDatagrams(t *testing.T) {
	w := listenWorld(t)
	dial := func(addr, nonce string) order {
		return order{Op: "dial", Network: "udp", Addr: addr, Send: nonce, Wait: 150 * time.Millisecond}
	}
	const allowed, denied, floored = "198.51.100.7:4444", testNet + ":4444", "198.51.100.9:4444"
	cfg := Config{
		Backend: TSI, World: w.path, Restrict: true,
		Allow: prefixes("198.51.100.7/32", "198.51.100.9/32"), Floor: prefixes("198.51.100.9/32"),
	}
	m := boot(t, cfg)
	wantErrno(t, m.do(dial(denied, "n1")), "connect", syscall.EACCES)
	wantErrno(t, m.do(dial(floored, "n2")), "connect", syscall.EACCES)
	wantData(t, m.do(dial(allowed, "n3")), "world n3")
	if o := m.do(order{Op: "sendto", Addr: denied, Send: "n4", Wait: 150 * time.Millisecond}); o.Step != "read" || o.Problem != "timeout" {
		t.Errorf("sendto: got %s, want the byte count and silence", o)
	}
	cfg.Restrict, cfg.Allow = false, nil
	open := boot(t, cfg)
	wantErrno(t, open.do(dial(floored, "n5")), "connect", syscall.EACCES)
	wantData(t, open.do(dial(denied, "n6")), "world n6")
	cfg.Backend, cfg.Restrict = VirtioNet, true
	if o := boot(t, cfg).do(dial(denied, "n7")); o.Step != "read" || o.Problem != "timeout" {
		t.Errorf("virtio-net: got %s, want silence", o)
	}
	for _, nonce := range []string{"n1", "n2", "n4", "n5", "n7"} {
		if w.sighted(nonce) {
			t.Errorf("the world saw %s", nonce)
		}
	}
}

// More exchanges than there is room for end the oldest and no other.
func TestDatagramFlood(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend Backend) {
		m := boot(t, open(backend))
		at := hostLoopback(backend, listenHostUDP(t, "canary", "127.0.0.1:0").addr)
		for range 2 * maxExchanges {
			wantData(t, m.do(order{Op: "sendto", Addr: at, Send: "n"}), "canary n")
		}
		m.udp.mu.Lock()
		defer m.udp.mu.Unlock()
		if len(m.udp.live) > maxExchanges {
			t.Errorf("%d live exchanges, want at most %d", len(m.udp.live), maxExchanges)
		}
	})
}
