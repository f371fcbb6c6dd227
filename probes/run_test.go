package probes

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/probes/agent"
)

const (
	allowedID  = "net.tcp.allowed.v4"
	loopbackID = "net.tcp.loopback.v4"
	testnetID  = "net.tcp.testnet.v4"
	adminID    = "proxy.admin-surface"
)

func TestRunContained(t *testing.T) {
	for _, backend := range []string{TSI, VirtioNet} {
		s := site(t, backend)
		rep, err := Run(t.Context(), s, quick, allowedID, loopbackID, testnetID, adminID)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]Verdict{allowedID: Contained, loopbackID: Contained, testnetID: Contained, adminID: Contained}
		if diff := cmp.Diff(want, verdicts(rep)); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", backend, diff, rep)
		}
		if rep.Worst() != Contained || rep.ExitCode() != 0 || rep.Guest == nil || rep.Backend != backend {
			t.Errorf("%s: %s", backend, rep)
		}
		addresses := make(map[netip.Addr]int)
		for _, a := range finding(t, rep, loopbackID).Attempts {
			addresses[a.Address.Addr()]++
		}
		wantAddresses := map[netip.Addr]int{loopback.Addr(): 2}
		if backend == VirtioNet {
			wantAddresses[gateway.Addr()] = 2
			if first := finding(t, rep, loopbackID).Attempts[0].Address.Addr(); first != gateway.Addr() {
				t.Errorf("the report leads with %s, which does not leave the guest", first)
			}
		}
		if diff := cmp.Diff(wantAddresses, addresses, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: attempts by address (-want +got):\n%s", backend, diff)
		}
	}
}

func TestRunLeak(t *testing.T) {
	s := site(t, TSI)
	s.Run = guest(open).run(nil)
	rep, err := Run(t.Context(), s, quick, allowedID, loopbackID, adminID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Verdict{allowedID: Contained, loopbackID: Leak, adminID: Leak}
	if diff := cmp.Diff(want, verdicts(rep)); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, rep)
	}
	if rep.ExitCode() != 1 {
		t.Errorf("exit %d", rep.ExitCode())
	}
}

func TestRunOverblocked(t *testing.T) {
	s := site(t, TSI)
	s.Run = guest(deny).run(nil)
	rep, err := Run(t.Context(), s, quick, allowedID, loopbackID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]Verdict{allowedID: Overblocked, loopbackID: Inconclusive}, verdicts(rep)); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, rep)
	}
	if n := len(finding(t, rep, allowedID).Attempts); n != 2*reachTries {
		t.Errorf("%d tries, want %d", n, 2*reachTries)
	}
}

// An allowed listener that is dead says nothing about the policy.
func TestRunAllowedDead(t *testing.T) {
	s := site(t, TSI)
	c := newCanary(t, "allowed", anyLoopback)
	_ = c.Close()
	s.Allowed = c.Target()
	s.Run = guest(open).run(nil)
	rep, err := Run(t.Context(), s, quick, allowedID)
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, rep, allowedID); f.Verdict != Inconclusive || !strings.HasPrefix(f.Reason, "C1:") {
		t.Errorf("%s", f)
	}
}

// What comes out of a guest that broke the rules is not shown as what the guest says of itself.
func TestRunForgetsALiar(t *testing.T) {
	s := site(t, TSI)
	s.Run = walled(s, deny).run(func(r *agent.Response) { r.Results[0].ID = "else" })
	rep, err := Run(t.Context(), s, quick, loopbackID)
	if err != nil {
		t.Fatal(err)
	}
	f := finding(t, rep, loopbackID)
	if rep.Guest != nil || f.Verdict != Error || f.Controls[0].State != NotChecked || f.Controls[2].State != NotChecked || f.Attempts[0].Fault == "" {
		t.Errorf("%+v\n%s", rep.Guest, f)
	}
}

func TestRunAbsences(t *testing.T) {
	s := site(t, VirtioNet)
	s.Closed, s.HostLoopback = nil, nil
	rep, err := Run(t.Context(), s, quick, allowedID, "net.tcp.loopback.v?", testnetID, "proxy.admin-surfac?")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Verdict{allowedID: Contained, loopbackID: NotApplicable, "net.tcp.loopback.v6": NotApplicable, testnetID: Contained, adminID: NotApplicable}
	if diff := cmp.Diff(want, verdicts(rep)); diff != "" {
		t.Errorf("everything (-want +got):\n%s", diff)
	}
	rep, err = Run(t.Context(), s, quick, adminID)
	if !errors.Is(err, ErrNothingRan) {
		t.Errorf("nothing ran: %v", err)
	}
	if f := finding(t, rep, adminID); f.Verdict != Inconclusive {
		t.Errorf("asked for by name: %s", f)
	}
}

func TestRunRefuses(t *testing.T) {
	s := site(t, TSI)
	if _, err := Run(t.Context(), s, quick, "net.tcp.lopback.v4"); !errors.Is(err, ErrUnknownProbe) {
		t.Errorf("unknown id: %v", err)
	}
	zoned := s
	zoned.HostLoopback = []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}
	if _, err := Run(t.Context(), zoned, quick, "net.tcp.loopback.v6"); !errors.Is(err, ErrSite) && !errors.Is(err, ErrNothingRan) {
		t.Errorf("an address that the agent cannot dial: %v", err)
	}
	s.Run = nil
	if _, err := Run(t.Context(), s, quick, loopbackID); !errors.Is(err, ErrSite) {
		t.Errorf("no Run: %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := restartable(t, func(s Site) guest { return walled(s, deny) })
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("enough")
	s.Run = func(ctx context.Context, _ []byte) ([]byte, error) {
		cancel(because)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	start := time.Now()
	rep, err := Run(ctx, s, quick, loopbackID, "life.restart")
	if !errors.Is(err, because) || rep.ExitCode() == 0 {
		t.Errorf("%v, %s", err, rep)
	}
	if f, err := rep.Finding("life.restart"); err != nil || f.Verdict != Error {
		t.Errorf("a scene that was not played: %v, %s", err, f)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// Nothing of a run is left behind: its canaries are down.
func TestRunClosesCanaries(t *testing.T) {
	var opened []net.Listener
	o := quick
	o.Listen = func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		opened = append(opened, l)
		return l, err
	}
	if _, err := Run(t.Context(), site(t, TSI), o, loopbackID, "net.tcp.loopback.v6"); err != nil {
		t.Fatal(err)
	}
	if len(opened) == 0 {
		t.Fatal("no canary was brought up")
	}
	for _, l := range opened {
		if l == nil {
			continue
		}
		if conn, err := net.DialTimeout("tcp", l.Addr().String(), time.Second); err == nil {
			_ = conn.Close()
			t.Errorf("%s still listens", l.Addr())
		}
	}
}
