package probes

import (
	"net"
	"slices"
	"testing"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// speaks is a guest that is on every container bridge of this host: what it sends to a group goes out there.
func speaks(t *testing.T) guest {
	return func(a agent.Attempt) agent.Result {
		for _, h := range hostAddrs() {
			if a.Network != agent.UDP4 || !isBridge4(h) {
				continue
			}
			conn, err := dialGroup(t.Context(), a.Addr, h.Addr)
			if err != nil {
				continue
			}
			_, _ = conn.Write(echo.Datagram(a.Nonce))
			_ = conn.Close()
		}
		return agent.Result{Stage: agent.StageRead, ElapsedUS: 100} // and hears nothing
	}
}

// sendsOnce is a guest whose packet arrives at the host, whatever it was made with.
func sendsOnce(a agent.Attempt) agent.Result {
	if a.Network == agent.UDP4 {
		if conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(a.Addr)); err == nil {
			_, _ = conn.Write(echo.Datagram(a.Nonce))
			_ = conn.Close()
		}
	}
	return agent.Result{Stage: agent.StageRead, ElapsedUS: 100}
}

// A datagram that only leaves is a leak, to a group and by a raw socket too; one that does not is none.
func TestDatagramsThatOnlyLeave(t *testing.T) {
	for id, leaky := range map[string]guest{"net.udp.multicast": speaks(t), "net.udp.broadcast": speaks(t), "net.raw.ip": sendsOnce} {
		for want, g := range map[Verdict]guest{Leak: leaky, Contained: func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StageRead, ElapsedUS: 100} }} {
			s := site(t, VirtioNet)
			s.World = nil
			if id != "net.raw.ip" && !slices.ContainsFunc(newRig(s, quick).hosts(isBridge4), isBridge4) {
				t.Skip("needs a container bridge on this host")
			}
			s.Run = walled(s, g).run(nil)
			rep, err := Run(t.Context(), s, quick, id)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(t, rep, id); f.Verdict != want {
				t.Errorf("want %s: %s", want, f)
			}
		}
	}
}
