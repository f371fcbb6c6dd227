package agent

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

func closedDatagramPort(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	l, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.LocalAddr().String())
}

// foreign, late and silent are canaries that answer with no echo, with one behind something else, and not at all.
func foreign([]byte) [][]byte { return [][]byte{[]byte("hello")} }

func late(b []byte) [][]byte {
	n, _ := echo.ParseRequest(b)
	return [][]byte{[]byte("hello"), echo.Line(echo.NewReply(echo.NewSecret(), "test", n, "", ""))}
}

func silent([]byte) [][]byte { return nil }

// datagramCases are ways to send a datagram and what may answer it.
var datagramCases = []struct {
	name    string
	network Network
	method  Method
	answer  func([]byte) [][]byte
	closed  bool
	stage   Stage
	errno   string
	want    Observation
	waits   bool
}{
	{"echo", UDP4, "", nil, false, StageRead, "", Reachable, false},
	{"echo over IPv6", UDP6, "", nil, false, StageRead, "", Reachable, false},
	{"closed", UDP4, "", nil, true, StageRead, "ECONNREFUSED", Refused, false},
	{"closed over IPv6", UDP6, "", nil, true, StageRead, "ECONNREFUSED", Refused, false},
	{"silent", UDP4, "", silent, false, StageRead, "", Filtered, true},
	{"foreign", UDP4, "", foreign, false, StageRead, "", Intercepted, true},
	{"foreign, then echo", UDP4, "", late, false, StageRead, "", Reachable, false},
	{"connected", UDP4, Connected, nil, false, StageRead, "", Reachable, false},
	{"connected over IPv6", UDP6, Connected, nil, false, StageRead, "", Reachable, false},
	{"connected, closed", UDP4, Connected, nil, true, StageRead, "ECONNREFUSED", Refused, false},
	{"family 0", UDP4, FamilyZero, nil, false, StageRead, "", Reachable, false},
	{"family 0, silent", UDP4, FamilyZero, silent, false, StageRead, "", Filtered, true},
	{"same socket", UDP4, SameSocket, nil, false, StageRead, "", Reachable, false},
	{"same socket, silent", UDP4, SameSocket, silent, false, StageRead, "", Filtered, true},
	{"batched", UDP4, Batched, nil, false, StageRead, "", Reachable, false},
	{"batched, silent", UDP4, Batched, silent, false, StageRead, "", Filtered, true},
}

func TestDatagrams(t *testing.T) {
	for _, c := range datagramCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			local := map[Network]string{UDP4: "127.0.0.1:0", UDP6: "[::1]:0"}[c.network]
			also := datagramCanary(t, "udp", "127.0.0.1:0", nil)
			addr := datagramCanary(t, "udp", local, c.answer)
			a := Attempt{Network: c.network, Method: c.method, Addr: addr.addr, Also: also.addr, Nonce: echo.NewNonce(), BudgetMS: 10_000}
			if c.waits {
				a.BudgetMS = 300
			}
			if c.closed {
				a.Addr = closedDatagramPort(t, local)
			}
			start := time.Now()
			made(t, a).reads(t, c.stage, c.errno, c.want)
			if waited := time.Since(start) >= a.Budget(); waited != c.waits {
				t.Errorf("waited %t", waited)
			}
			if addr.saw(a.Nonce) == c.closed || also.saw(a.Nonce) {
				t.Errorf("seen at the address: %t, at the other: %t", addr.saw(a.Nonce), also.saw(a.Nonce))
			}
			if two := c.method == SameSocket || c.method == Batched; two && !also.heard(unheard) {
				t.Error("the other address was not sent to")
			}
		})
	}
}

// heard reports whether b came, waiting a while: nobody answers it.
func (c *canary) heard(b []byte) bool {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		c.mu.Lock()
		for _, r := range c.raw {
			if bytes.Equal(r, b) {
				c.mu.Unlock()
				return true
			}
		}
		c.mu.Unlock()
	}
	return false
}

// Of one call for two addresses the errno is the attempt's, not the other's.
func TestBatchErrno(t *testing.T) {
	newSpace(t).in(func() {
		up := datagramCanary(t, "udp", "127.0.0.1:0", nil)
		a := Attempt{Network: UDP4, Method: Batched, Addr: at("10.1.2.3", 9), Also: up.addr}
		made(t, a).reads(t, StageWrite, "ENETUNREACH", Unreachable)
		a.Addr, a.Also = a.Also, a.Addr
		made(t, a).reads(t, StageRead, "", Reachable)
	})
}

// An answer to a DNS query ends the wait: it has the question, and so the nonce, in it.
func TestDatagramAnswerWithNonce(t *testing.T) {
	addr := datagramCanary(t, "udp", "127.0.0.1:0", func(b []byte) [][]byte { return [][]byte{bytes.ToUpper(b)} })
	n := echo.NewNonce()
	start := time.Now()
	r := made(t, Attempt{Network: UDP4, Addr: addr.addr, Nonce: n, Send: [][]byte{append([]byte("query "), n...)}, BudgetMS: 5000})
	r.reads(t, StageRead, "", Intercepted)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("waited %s", took)
	}
}
