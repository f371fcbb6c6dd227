package agent

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// request is a valid request for attempts, whose ids, nonces, networks and budgets are filled in where they are missing.
func request(attempts ...Attempt) Request {
	r := Request{Schema: Schema, Run: echo.NewNonce(), DeadlineMS: 5000}
	for i, a := range attempts {
		if a.ID == "" {
			a.ID = strconv.Itoa(i)
		}
		if a.Nonce == "" {
			a.Nonce = echo.NewNonce()
		}
		if a.Network == "" {
			a.Network = TCP4
		}
		if a.BudgetMS == 0 {
			a.BudgetMS = 200
		}
		r.Attempts = append(r.Attempts, a)
	}
	return r
}

func run(t *testing.T, r Request) Response {
	t.Helper()
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	resp, err := Run(r, time.Now().Add(time.Duration(r.DeadlineMS)*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Results) != len(r.Attempts) {
		t.Fatalf("%d results for %d attempts", len(resp.Results), len(r.Attempts))
	}
	for i, res := range resp.Results {
		if res.ID != r.Attempts[i].ID || res.Nonce != r.Attempts[i].Nonce {
			t.Errorf("result %d is of %q", i, res.ID)
		}
	}
	return resp
}

func observations(resp Response) []Observation {
	var all []Observation
	for _, r := range resp.Results {
		all = append(all, r.Observation)
	}
	return all
}

func TestRunConditions(t *testing.T) {
	up, down, full := listener(t, "127.0.0.1:0", answer), closedPort(t, "127.0.0.1:0"), fullBacklog(t)
	resp := run(t, request(
		Attempt{Addr: up}, Attempt{Addr: down}, Attempt{Addr: full},
		Attempt{Addr: up, Phase: 1, After: "0", When: WhenNotReachable},
		Attempt{Addr: up, Phase: 1, After: "1", When: WhenNotReachable},
		Attempt{Addr: up, Phase: 1, After: "1", When: WhenFiltered},
		Attempt{Addr: full, Phase: 1, After: "2", When: WhenFiltered},
		Attempt{Addr: up, Phase: 2, After: "3", When: WhenNotReachable},
	))
	want := []Observation{Reachable, Refused, Filtered, ProbeError, Reachable, ProbeError, Filtered, ProbeError}
	if got := observations(resp); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, i := range []int{3, 5, 7} {
		if s := resp.Results[i].Stage; s != StageSkipped {
			t.Errorf("attempt %d: stage %q, want it skipped", i, s)
		}
	}
}

// A phase begins when the one before has ended, and delays are kept.
func TestRunPhases(t *testing.T) {
	up := listener(t, "127.0.0.1:0", func(c net.Conn) { time.Sleep(30 * time.Millisecond); answer(c) })
	start := time.Now()
	resp := run(t, request(Attempt{Addr: up, Phase: 7}, Attempt{Addr: up, Phase: 2}, Attempt{Addr: up, Phase: 9, DelayMS: 60}))
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("three phases of 30 ms and a delay of 60 ms took %s: they ran side by side", took)
	}
	if got := observations(resp); !slices.Equal(got, []Observation{Reachable, Reachable, Reachable}) {
		t.Errorf("%q", got)
	}
}

func TestRunBoundsFlows(t *testing.T) {
	var now, most atomic.Int64
	up := listener(t, "127.0.0.1:0", func(c net.Conn) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(20 * time.Millisecond)
		now.Add(-1)
		answer(c)
	})
	var attempts []Attempt
	for range 3*MaxFlows + 5 {
		attempts = append(attempts, Attempt{Addr: up, BudgetMS: 3000})
	}
	for _, o := range observations(run(t, request(attempts...))) {
		if o != Reachable {
			t.Fatalf("%q", o)
		}
	}
	if m := most.Load(); m > MaxFlows || m < 2 {
		t.Errorf("%d flows at once, want at most %d and more than one", m, MaxFlows)
	}
}

// What does not fit into the deadline says so, and the answer comes in time all the same: by the clock of the test, on which nothing but the
// agent's own waiting takes time.
func TestRunDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		deadline := start.Add(800 * time.Millisecond)
		b := newBatch(deadline, func(a Attempt, _ time.Time) Result { time.Sleep(a.Budget()); return a.outcome(StageDone) })
		r := request(Attempt{BudgetMS: 10_000}, Attempt{Phase: 1, BudgetMS: 10_000}, Attempt{Phase: 2, DelayMS: 9000})
		for range MaxFlows { // no flow is left for those behind
			r.Attempts = append(r.Attempts, Attempt{ID: "more" + strconv.Itoa(len(r.Attempts)), Nonce: echo.NewNonce(), Network: TCP4, BudgetMS: 10_000})
		}
		b.run(r.Attempts)
		if took, want := time.Since(start), 800*time.Millisecond-lastWord; took != want {
			t.Errorf("took %s, want the %s that leave time to answer", took, want)
		}
		if len(b.results) != len(r.Attempts) {
			t.Errorf("%d results", len(b.results))
		}
		for _, res := range b.results {
			if res.Stage != StageUnfinished || res.Observation != ProbeError {
				t.Errorf("stage %q, %q; want unfinished", res.Stage, res.Observation)
			}
		}
		time.Sleep(time.Minute) // the dials that were given up end
	})
}

// A deadline that is near leaves a share of itself, and one that is past leaves nothing and is not waited beyond.
func TestNewBatchLeavesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for left, want := range map[time.Duration]time.Duration{time.Minute: time.Minute - lastWord, 80 * time.Millisecond: 60 * time.Millisecond, 0: 0} {
			if b := newBatch(time.Now().Add(left), dial); time.Until(b.end) != want {
				t.Errorf("of %s it takes %s, want %s", left, time.Until(b.end), want)
			}
		}
	})
}

func TestSelf(t *testing.T) {
	up := listener(t, "127.0.0.1:0", answer)
	up6 := listener(t, "[::]:0", answer)
	resp := run(t, request(Attempt{Addr: up}, Attempt{Addr: netip.AddrPortFrom(up.Addr(), up6.Port())}, Attempt{Addr: closedPort(t, "127.0.0.1:0")}))
	s := resp.Self
	if !s.Echo || s.EchoTries < 1 || s.EchoError != "" || s.EchoUS <= 0 {
		t.Errorf("self-echo: %+v", s)
	}
	if s.Kernel == "" || s.BootID == "" || s.Hostname == "" || len(s.Interfaces) == 0 {
		t.Errorf("facts are missing: %+v", s)
	}
	want := []string{up.String(), up6.String()}
	slices.Sort(want)
	got := slices.Sorted(slices.Values(s.Listeners))
	if !slices.Equal(got, want) {
		t.Errorf("listeners %q, want %q", got, want)
	}
}

func TestListeners(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F91 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   2: 00000000000000000000000001000000:0009 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 1
   3: garbage 0 0A
   4: 01:02 0 0A
`
	want := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("[::1]:9")}
	if got := listeners(table); !slices.Equal(got, want) {
		t.Errorf("%v, want %v (on a little-endian machine)", got, want)
	}
}

// The kernel and its tables in /proc say the same, of what listens and of nothing else.
func TestAskedListeners(t *testing.T) {
	for family, at := range map[uint8]netip.AddrPort{unix.AF_INET: listener(t, "127.0.0.1:0", answer), unix.AF_INET6: listener(t, "[::1]:0", answer)} {
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		asked, err := askedListeners(family)
		if err != nil {
			t.Fatal(err)
		}
		read, err := readListeners(family)
		if err != nil {
			t.Fatal(err)
		}
		client := c.LocalAddr().(*net.TCPAddr).AddrPort()
		for how, all := range map[string][]netip.AddrPort{"asked": asked, "read": read} {
			if !slices.Contains(all, at) {
				t.Errorf("%s: %s listens and is not in %v", how, at, all)
			}
			if slices.Contains(all, client) {
				t.Errorf("%s: %s does not listen and is in %v", how, client, all)
			}
		}
	}
}

// A listener is found by any way that can tell, and where none can that is noted.
func TestListenersByAnotherWay(t *testing.T) {
	at := listener(t, "127.0.0.1:0", answer)
	mute := func(uint8) ([]netip.AddrPort, error) { return nil, unix.EPERM }
	for name, c := range map[string]struct {
		ways         []func(uint8) ([]netip.AddrPort, error)
		found, notes int
	}{
		"asked": {newListenerWatch(nil).ways[:1], 1, 0},
		"read":  {[]func(uint8) ([]netip.AddrPort, error){mute, newListenerWatch(nil).ways[1]}, 1, 0},
		"none":  {[]func(uint8) ([]netip.AddrPort, error){mute, mute}, 0, 1},
	} {
		w := newListenerWatch([]Attempt{{Addr: at}})
		w.ways = c.ways
		if w.look(); len(w.found) != c.found || len(w.notes) != c.notes {
			t.Errorf("%s: found %q, noted %q", name, w.found, w.notes)
		}
	}
}

// A question that the kernel cannot answer, for which it ends the dump with the reason, is not answered with an empty list.
func TestUnansweredDump(t *testing.T) {
	request := make([]byte, diagRequestSize)
	request[0], request[1] = unix.AF_INET, 253 // an experiment's (RFC 3692)
	rows, err := netlinkDump(unix.NETLINK_SOCK_DIAG, unix.SOCK_DIAG_BY_FAMILY, request)
	if !errors.Is(err, unix.ENOENT) {
		t.Errorf("%d rows, error %v; want ENOENT", len(rows), err)
	}
}

// A connect that is deaf to its budget, as on tsi, is given up, and its flow stays taken.
func TestStuckDial(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	b := &batch{
		end: time.Now().Add(5 * time.Second), flows: make(chan struct{}, MaxFlows), results: make(map[string]Result),
		dial: func(Attempt, time.Time) Result { <-stuck; return Result{} },
	}
	r := request(Attempt{BudgetMS: 50}, Attempt{BudgetMS: 50})
	start := time.Now()
	b.phase(r.Attempts)
	if took := time.Since(start); took < 50*time.Millisecond || took > 2*time.Second {
		t.Errorf("given up after %s", took)
	}
	for _, a := range r.Attempts {
		if res := b.results[a.ID]; res.Observation != Filtered || res.Stage != StageConnect || res.ID != a.ID {
			t.Errorf("%+v", res)
		}
	}
	if n := len(b.flows); n != 2 {
		t.Errorf("%d flows are taken, want 2", n)
	}
}
