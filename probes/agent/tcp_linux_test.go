package agent

import (
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// Each way round a wall ends at the canary where there is no wall, and says so where nobody listens.
func TestWays(t *testing.T) {
	for _, c := range []struct {
		method Method
		stage  Stage // at a listener
		errno  string
		want   Observation
	}{
		{SameSocket, StageConnect, "EISCONN", Unsupported}, // Linux does not connect a socket twice
		{Unspec, StageDone, "", Reachable},
		{FastOpen, StageDone, "", Reachable},
		{IOUring, StageDone, "", Reachable},
		{Race, StageDone, "", Reachable},
		{Exhaust, StageDone, "", Reachable},
		{Flood, StageDone, "", Reachable},
	} {
		t.Run(string(c.method), func(t *testing.T) {
			also, addr := streamCanary(t, "tcp", "127.0.0.1:0"), streamCanary(t, "tcp", "127.0.0.1:0")
			a := Attempt{Network: TCP4, Method: c.method, Addr: addr.addr, Also: also.addr, Nonce: echo.NewNonce(), Count: 100, BudgetMS: 2000}
			made(t, a).reads(t, c.stage, c.errno, c.want)
			if got := addr.saw(a.Nonce); got != (c.want == Reachable) {
				t.Errorf("the canary saw the nonce: %t", got)
			}
			if also.saw(a.Nonce) {
				t.Error("the nonce went to the other address")
			}
			if c.method != SameSocket {
				a.Addr = closedPort(t, "127.0.0.1:0")
				made(t, a).reads(t, StageConnect, "ECONNREFUSED", Refused)
			}
		})
	}
}

func TestWaysOverIPv6(t *testing.T) {
	for _, m := range []Method{FastOpen, IOUring} {
		addr := streamCanary(t, "tcp", "[::1]:0")
		made(t, Attempt{Network: TCP6, Method: m, Addr: addr.addr}).reads(t, StageDone, "", Reachable)
		made(t, Attempt{Network: TCP6, Method: m, Addr: closedPort(t, "[::1]:0")}).reads(t, StageConnect, "ECONNREFUSED", Refused)
	}
}

// A target that is silent costs the budget, and no more.
func TestWaysSilent(t *testing.T) {
	for _, c := range []struct {
		method      Method
		full, quiet Stage
	}{
		{Unspec, StageConnect, StageRead},
		{FastOpen, StageConnect, StageRead},
		{IOUring, StageConnect, StageRead},
		{Exhaust, StageConnect, StageRead},
		{Flood, StageConnect, StageRead},
	} {
		t.Run(string(c.method), func(t *testing.T) {
			t.Parallel()
			also := streamCanary(t, "tcp", "127.0.0.1:0")
			a := Attempt{Network: TCP4, Method: c.method, Also: also.addr, Count: 3}
			a.Addr = fullBacklog(t)
			made(t, a).reads(t, c.full, "", Filtered)
			a.Addr = listener(t, "127.0.0.1:0", nil)
			made(t, a).reads(t, c.quiet, "", HandshakeOnly)
		})
	}
}

// A method that needs a connection to Also says that it had none: nothing was tried at Addr.
func TestWaysWithoutAlso(t *testing.T) {
	for _, m := range []Method{SameSocket, Unspec, Exhaust} {
		addr := streamCanary(t, "tcp", "127.0.0.1:0")
		a := Attempt{Network: TCP4, Method: m, Addr: addr.addr, Also: closedPort(t, "127.0.0.1:0"), Nonce: echo.NewNonce(), Count: 2}
		made(t, a).reads(t, StagePrepare, "ECONNREFUSED", ProbeError)
		if addr.saw(a.Nonce) {
			t.Errorf("%s: it went to the address all the same", m)
		}
	}
}

func TestRaceTally(t *testing.T) {
	also, addr := streamCanary(t, "tcp", "127.0.0.1:0"), closedPort(t, "127.0.0.1:0")
	r := made(t, Attempt{Network: TCP4, Method: Race, Addr: addr, Also: also.addr, Count: 300, BudgetMS: 3000})
	r.reads(t, StageConnect, "ECONNREFUSED", Refused)
	if got, ok := ParseTally(r.Reply); !ok || got.Also == 0 || got.Addr != 0 {
		t.Errorf("tally %+v of %q", got, r.Reply)
	}
	quiet := listener(t, "127.0.0.1:0", nil)
	r = made(t, Attempt{Network: TCP4, Method: Race, Addr: quiet, Also: also.addr, Count: 40, BudgetMS: 3000})
	if got, ok := ParseTally(r.Reply); !ok || got.Addr == 0 || r.Observation != HandshakeOnly {
		t.Errorf("%q: tally %+v of %q", r.Observation, got, r.Reply)
	}
	// Without a connection to Also it was no race.
	r = made(t, Attempt{Network: TCP4, Method: Race, Addr: addr, Also: closedPort(t, "127.0.0.1:0"), Count: 20})
	r.reads(t, StageConnect, "ECONNREFUSED", ProbeError)
}

// The flows are held while Addr is dialled, and not longer.
func TestExhaustHolds(t *testing.T) {
	const flows = 100
	also, addr := streamCanary(t, "tcp", "127.0.0.1:0"), streamCanary(t, "tcp", "127.0.0.1:0")
	made(t, Attempt{Network: TCP4, Method: Exhaust, Addr: addr.addr, Also: also.addr, Count: flows, BudgetMS: 3000}).reads(t, StageDone, "", Reachable)
	deadline := time.Now().Add(5 * time.Second)
	for {
		also.mu.Lock()
		most, open := also.most, also.open
		also.mu.Unlock()
		if most == flows && open == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d flows at most, %d are left; want %d and none", most, open, flows)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestResolver(t *testing.T) {
	tcp := streamCanary(t, "tcp", "127.0.0.1:0")
	udp := datagramCanary(t, "udp", tcp.addr.String(), nil)
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	defer func(old string) { resolvConf = old }(resolvConf)
	resolvConf = conf
	target := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), tcp.addr.Port()) // the port alone counts
	for _, c := range []struct {
		text  string
		stage Stage
		errno string
		want  Observation
	}{
		{"# nameserver 192.0.2.1\nnameserver 127.0.0.2\nnameserver ::1\nnameserver 127.0.0.1\noptions x\n", StageDone, "", Reachable},
		{"nameserver ::1\n", StagePrepare, "ENOENT", Unsupported},
		{"", StagePrepare, "ENOENT", Unsupported},
	} {
		if err := os.WriteFile(conf, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for network, canary := range map[Network]*canary{TCP4: tcp, UDP4: udp} {
			a := Attempt{Network: network, Method: Resolver, Addr: target, Nonce: echo.NewNonce()}
			stage := c.stage
			if network == UDP4 && stage == StageDone {
				stage = StageRead
			}
			made(t, a).reads(t, stage, c.errno, c.want)
			if canary.saw(a.Nonce) != (c.want == Reachable) {
				t.Errorf("%s: the nameserver saw the nonce: %t", network, canary.saw(a.Nonce))
			}
		}
	}
	if err := os.Remove(conf); err != nil {
		t.Fatal(err)
	}
	made(t, Attempt{Network: TCP4, Method: Resolver, Addr: target}).reads(t, StagePrepare, "ENOENT", Unsupported)
}

// In a namespace of its own nothing is up, so what listens on this loopback is not there; root or not, where the kernel lets it.
func TestOwnNetNS(t *testing.T) {
	addr, udp := streamCanary(t, "tcp", "127.0.0.1:0"), datagramCanary(t, "udp", "127.0.0.1:0", nil)
	for network, addr := range map[Network]netip.AddrPort{TCP4: addr.addr, UDP4: udp.addr} {
		a := Attempt{Network: network, Method: OwnNetNS, Addr: addr, BudgetMS: 5000}
		want := map[Network]Stage{TCP4: StageConnect, UDP4: StageWrite}[network]
		made(t, a).reads(t, want, "ENETUNREACH", Unreachable)
		newSpace(t).without(t, func() { made(t, a).reads(t, want, "ENETUNREACH", Unreachable) }, unix.CAP_SYS_ADMIN)
	}
}

// A flood that nobody answers is all of its dials, one before and one after, with the nonce on each; what is answered at once is none.
func TestFlood(t *testing.T) {
	const dials = 300
	var dialled, told atomic.Int64
	quiet := listener(t, "127.0.0.1:0", func(conn net.Conn) {
		dialled.Add(1)
		if n, _ := io.Copy(io.Discard, conn); n > 0 {
			told.Add(1)
		}
	})
	made(t, Attempt{Network: TCP4, Method: Flood, Addr: quiet, Count: dials, BudgetMS: 4000}).reads(t, StageRead, "", HandshakeOnly)
	for end := time.Now().Add(5 * time.Second); dialled.Load() != dials+2 || told.Load() != dials+2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("dialled %d times, %d with the nonce; want %d", dialled.Load(), told.Load(), dials+2)
		}
	}
	c := streamCanary(t, "tcp", "127.0.0.1:0")
	made(t, Attempt{Network: TCP4, Method: Flood, Addr: c.addr, Count: dials, BudgetMS: 4000}).reads(t, StageDone, "", Reachable)
	if c.mu.Lock(); c.most != 1 {
		t.Errorf("%d flows at once to a canary that answers", c.most)
	}
	c.mu.Unlock()
}

// What is too slow for a flood was none, whatever the last dial would have said.
func TestNoFlood(t *testing.T) {
	closed := closedPort(t, "127.0.0.1:0")
	made(t, Attempt{Network: TCP4, Method: Flood, Addr: closed, Count: maxCount, BudgetMS: 1}).reads(t, StagePrepare, "", ProbeError)
}
