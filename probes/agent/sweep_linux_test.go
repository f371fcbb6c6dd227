package agent

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// swept sweeps ports of 127.0.0.1, where this machine has listeners, by the code that sweeps vsock.
func swept(t *testing.T, ip [4]byte, first, last uint32, budget time.Duration) Result {
	t.Helper()
	a := Attempt{ID: "x", Network: VSOCK, Method: Sweep, VPort: first, VPortTo: last, BudgetMS: int(budget.Milliseconds())}
	r := Result{ID: a.ID}
	start := time.Now()
	s := stream{start: start, deadline: start.Add(budget)}
	err := sweep(a, &r, &s, func(port uint32) (int, unix.Sockaddr) {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: ip, Port: int(port)}
	})
	r.Errno, r.ElapsedUS = errnoOf(err), time.Since(start).Microseconds()
	r.Observation = Observe(a, r)
	if took := time.Since(start); took > budget+time.Second {
		t.Errorf("took %s of %s", took, budget)
	}
	return r
}

func TestSweep(t *testing.T) {
	newSpace(t).in(func() { // where nobody else listens
		var open []int
		for _, port := range []int{2000, 2063, 2064, 2299, 2300} {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			open = append(open, port)
		}
		r := swept(t, [4]byte{127, 0, 0, 1}, 2000, 2300, 5*time.Second)
		r.reads(t, StageDone, "", Readable)
		var want string
		for _, port := range slices.Sorted(slices.Values(open)) {
			want += fmt.Sprintln(port)
		}
		if string(r.Reply) != want {
			t.Errorf("open %q, want %q", r.Reply, want)
		}
		swept(t, [4]byte{127, 0, 0, 1}, 3000, 3200, 5*time.Second).reads(t, StageConnect, "ECONNREFUSED", Refused)
		swept(t, [4]byte{10, 1, 2, 3}, 5, 5, 5*time.Second).reads(t, StageConnect, "ENETUNREACH", Unreachable)
	})
}

// Ports that are silent are dialled at most sweepFlows at once; where that leaves some undialled, nothing was shown of those.
func TestSweepSilence(t *testing.T) {
	full := fullBacklog(t)
	port := uint32(full.Port())
	swept(t, [4]byte{127, 0, 0, 1}, port, port, 200*time.Millisecond).reads(t, StageConnect, "", Filtered)
	guest, _ := twoSpaces(t)
	guest.in(func() {
		silent := [4]byte{10, 9, 0, 77} // nobody's: its neighbours are asked for, for seconds
		swept(t, silent, 1, sweepFlows, 200*time.Millisecond).reads(t, StageConnect, "", Filtered)
		swept(t, silent, 1, sweepFlows+1, 200*time.Millisecond).reads(t, StageUnfinished, "", ProbeError)
	})
}

// Where the kernel has no such family, that is what is said.
func TestSweepUnsupported(t *testing.T) {
	a := Attempt{Network: VSOCK, Method: Sweep, VPort: 1, VPortTo: 3}
	var r Result
	s := stream{deadline: time.Now().Add(time.Second)}
	err := sweep(a, &r, &s, func(uint32) (int, unix.Sockaddr) { return 63, &unix.SockaddrVM{} })
	r.Errno = errnoOf(err)
	r.Observation = Observe(a, r)
	r.reads(t, StageConnect, "EAFNOSUPPORT", Unsupported)
}
