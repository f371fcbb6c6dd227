package probes

import (
	"net"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// sentBy is a guest whose datagrams leave by a socket that takes what anybody sends, or only what whom it asked does.
func sentBy(connected bool) guest {
	return func(a agent.Attempt) agent.Result {
		if a.Network != agent.UDP4 {
			return deny(a)
		}
		to := net.UDPAddrFromAddrPort(a.Addr)
		silent := agent.Result{Stage: agent.StageRead, ElapsedUS: 100}
		var conn *net.UDPConn
		var err error
		if connected {
			conn, err = net.DialUDP("udp4", nil, to)
		} else {
			conn, err = net.ListenUDP("udp4", nil)
		}
		if err != nil {
			return failedWith(agent.StageSocket, "EMFILE")
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(min(a.Budget(), 100*time.Millisecond)))
		if connected {
			_, err = conn.Write(echo.Datagram(a.Nonce))
		} else {
			_, err = conn.WriteToUDP(echo.Datagram(a.Nonce), to)
		}
		buf := make([]byte, echo.MaxReply)
		n, _, rerr := conn.ReadFromUDP(buf)
		if err != nil || rerr != nil {
			return silent
		}
		return agent.Result{Stage: agent.StageRead, Reply: buf[:n], ElapsedUS: 100}
	}
}

// What a stranger sends in is a leak if the guest hears it, and that the guest's own datagram arrived is none.
func TestInjection(t *testing.T) {
	const id = "net.udp.injection"
	for name, c := range map[string]struct {
		guest guest
		want  Verdict
	}{"takes all": {sentBy(false), Leak}, "takes answers": {sentBy(true), Contained}, "sends nothing": {deny, Contained}} {
		s := site(t, TSI)
		s.Run = walled(s, c.guest).run(nil)
		rep, err := Run(t.Context(), s, quick, id)
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, rep, id); f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
	}
}

// An injector whose strangers are gone is no control.
func TestInjectorNeedsStrangers(t *testing.T) {
	c, err := newInjector(anyLoopback.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	for _, s := range c.strangers {
		_ = s.Close()
	}
	if err := c.Alive(t.Context()); err == nil {
		t.Error("it is alive without anybody to send")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
