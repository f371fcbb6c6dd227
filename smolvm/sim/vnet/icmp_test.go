//go:build linux

package vnet

import (
	"fmt"
	"testing"
	"time"
)

// Only virtio-net answers pings: the gateway's itself, others where the policy
// lets them go. TSI has no route for them.
func TestPing(t *testing.T) {
	w := listenWorld(t)
	ping := func(m *machine, addr, payload string) string {
		return m.do(order{Op: "ping", Addr: addr, Send: payload, Wait: 300 * time.Millisecond}).String()
	}
	cfg := open(VirtioNet)
	cfg.World = w.path
	v := boot(t, cfg)
	cfg.Restrict, cfg.Allow = true, prefixes("198.51.100.7/32")
	shut := boot(t, cfg)
	for i, c := range []struct {
		m        *machine
		to, want string
		seen     bool // by the world
	}{
		{v, gatewayV4.String(), "echo n1", false},
		{v, gatewayV6.String(), "echo n2", false},
		{v, testNet, "echo n3", true},
		{v, "2001:db8::77", "echo n4", true},
		{shut, testNet, "read: timeout", false},
		{shut, "2001:db8::77", "read: timeout", false},
		{shut, "198.51.100.7", "echo n7", true},
		{shut, gatewayV4.String(), "echo n8", false},
	} {
		nonce := fmt.Sprint("n", i+1)
		if got := ping(c.m, c.to, nonce); got != c.want {
			t.Errorf("ping %s: got %s, want %s", c.to, got, c.want)
		}
		if w.sighted(nonce) != c.seen {
			t.Errorf("ping %s: the world saw %s: %v", c.to, nonce, !c.seen)
		}
	}
	wantLogged(t, shut, "ping of "+testNet, "dropped")
	if own, ok := ownV4(); ok {
		if got := ping(v, own.String(), "n"); got != "echo n" {
			t.Errorf("the host's own address: got %s", got)
		}
	}
	if got := ping(boot(t, open(VirtioNet)), testNet, "n"); got != "read: timeout" {
		t.Errorf("without a world: got %s", got)
	}
}

func TestPingOnTSI(t *testing.T) {
	for _, cfg := range []Config{open(TSI), {Backend: TSI, Restrict: true}} {
		m := boot(t, cfg)
		for addr, want := range map[string]string{testNet: "connect: ENETUNREACH", "127.0.0.1": "echo n"} {
			if got := m.do(order{Op: "ping", Addr: addr, Send: "n", Wait: 200 * time.Millisecond}).String(); got != want {
				t.Errorf("ping %s: got %s, want %s", addr, got, want)
			}
		}
	}
}
