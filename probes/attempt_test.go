package probes

import (
	"strings"
	"testing"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

func TestShadow(t *testing.T) {
	for listener, want := range map[string]bool{
		"127.0.0.1:4711": true, "0.0.0.0:4711": true, "[::]:4711": true, "[::ffff:127.0.0.1]:4711": true,
		"127.0.0.1:4712": false, "127.0.0.2:4711": false, "[::1]:4711": false,
	} {
		b := &batch{answer: agent.Answer{Self: agent.Self{Listeners: []string{listener}}}}
		if got := b.shadow(aim{addr: loopback}) != ""; got != want {
			t.Errorf("%s in the way of %s: %t, want %t", listener, loopback, got, want)
		}
		if b.shadow(aim{addr: gateway}) != "" {
			t.Errorf("%s in the way of %s", listener, gateway)
		}
	}
	b := &batch{answer: agent.Answer{Self: agent.Self{Listeners: []string{"0.0.0.0:4711"}}}}
	if b.shadow(aim{addr: loopback6}) != "" {
		t.Error("an IPv4 listener in the way of IPv6")
	}
}

// An answer in the canary's form is believed for its proof alone.
func TestJoin(t *testing.T) {
	secret := echo.NewSecret()
	s := shot{Attempt: agent.Attempt{ID: "1", Nonce: nonce(1), Addr: loopback, Network: agent.TCP4}, round: 1}
	for _, c := range []struct {
		name   string
		reply  []byte
		want   Observation
		proved bool
		forged bool
	}{
		{"proof", echo.Response(echo.NewReply(secret, "x", nonce(1), "", "")), Reachable, true, false},
		{"proof of another", echo.Response(echo.NewReply(echo.NewSecret(), "x", nonce(1), "", "")), Intercepted, false, true},
		{"proof of another nonce", echo.Response(echo.NewReply(secret, "x", nonce(2), "", "")), Intercepted, false, false},
		{"proof by no secret", echo.Response(echo.NewReply(echo.Secret{}, "x", nonce(1), "", "")), Intercepted, false, true},
		{"a page", []byte("HTTP/1.0 200 OK\r\n\r\nblocked\x1b[0m"), Intercepted, false, false},
		{"nothing", nil, HandshakeOnly, false, false},
	} {
		j := joiner{results: map[string]agent.Result{"1": {ID: "1", Nonce: nonce(1), Stage: agent.StageDone, Reply: c.reply}}}
		a, made := j.join(s, Target{Name: "x", Secret: secret}, nil, nil)
		if !made || a.Observation != c.want || a.Proved != c.proved || a.Forged != c.forged || strings.ContainsRune(a.Reply, '\x1b') {
			t.Errorf("%s: %+v", c.name, a)
		}
		if a, _ = j.join(s, Target{Name: "x"}, nil, nil); a.Proved {
			t.Errorf("%s: proved without a secret", c.name)
		}
	}
}
