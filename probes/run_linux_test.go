package probes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/internal/gobuild"
	"bottle.internal/probes/agent"
)

// agentOnHost runs the built agent on this host: a sandbox without walls.
func agentOnHost(t *testing.T, attr *syscall.SysProcAttr) RunFunc {
	t.Helper()
	bin, err := gobuild.Binary(t.Context(), gobuild.Target{Command: "bottle-agent"})
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, request []byte) ([]byte, error) {
		cmd := exec.CommandContext(ctx, bin)
		cmd.SysProcAttr = attr
		cmd.Stdin = bytes.NewReader(request)
		return cmd.Output()
	}
}

// mangle edits what comes out of a sandbox.
func mangle(inner RunFunc, edit func(*agent.Response)) RunFunc {
	return func(ctx context.Context, request []byte) ([]byte, error) {
		b, err := inner(ctx, request)
		if err != nil {
			return nil, err
		}
		var resp agent.Response
		if err := json.Unmarshal(b, &resp); err != nil {
			return nil, err
		}
		edit(&resp)
		return json.Marshal(resp)
	}
}

func TestAgentOnHostLeaks(t *testing.T) {
	s := site(t, TSI)
	s.Run = agentOnHost(t, nil)
	rep, err := Run(t.Context(), s, quick, allowedID, loopbackID, "net.tcp.loopback.v6", adminID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Verdict{allowedID: Contained, loopbackID: Leak, "net.tcp.loopback.v6": Leak, adminID: Leak}
	got := verdicts(rep)
	if got["net.tcp.loopback.v6"] == NotApplicable {
		want["net.tcp.loopback.v6"] = NotApplicable // this host has no ::1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, rep)
	}
	if f := finding(t, rep, allowedID); f.Assurance != L2 {
		t.Errorf("%s", f)
	}
	for _, a := range finding(t, rep, loopbackID).Attempts {
		if !a.Proved || len(a.Sightings) != 1 || a.Observation != Reachable {
			t.Errorf("%+v", a)
		}
	}
}

// On the host itself there is no wall at all, and the looks say so.
func TestAgentOnHostHasTheHost(t *testing.T) {
	planted := NewDecoyText()
	t.Setenv("BOTTLE_TEST_DECOY", planted)
	s := site(t, TSI)
	s.Run, s.Planted = agentOnHost(t, nil), []string{planted}
	red := []string{
		"cred.host-identity", "env.decoy", "fs.host-canary.read", "fs.symlink.escape", "kernel.distinct", "net.inbound.ephemeral", "net.inbound.loopback-leak",
		"net.inbound.unpublished", "net.unix.abstract", "net.unix.host-path", "net.unix.inventory", "proc.host-visible", "res.cpu", "res.disk", "res.memory",
	}
	rep, err := Run(t.Context(), s, quick, red...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range rep.Findings {
		if f.Verdict != Leak {
			t.Errorf("%s", f)
		}
	}
}

// An agent that reaches everything and says that it was denied is found out by the canaries.
func TestAgentThatLies(t *testing.T) {
	s := site(t, TSI)
	s.Run = mangle(agentOnHost(t, nil), func(r *agent.Response) {
		r.Self.Listeners = nil
		for i := range r.Results {
			res := &r.Results[i]
			if res.Stage == agent.StageDone && !strings.Contains(string(res.Reply), s.Allowed.Addr.String()) {
				*res = agent.Result{ID: res.ID, Nonce: res.Nonce, Stage: agent.StageConnect, Errno: "EACCES", Observation: agent.Denied}
			}
		}
	})
	rep, err := Run(t.Context(), s, quick, loopbackID, adminID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]Verdict{loopbackID: Leak, adminID: Leak}, verdicts(rep)); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, rep)
	}
}

// A network namespace of its own, with nothing up in it, is the guest without a network: what the first loopback probes were
// green on.
func TestAgentWithoutNetwork(t *testing.T) {
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: syscall.Getuid(), Size: 1}},
	}
	probe := exec.CommandContext(t.Context(), "true")
	probe.SysProcAttr = attr
	if err := probe.Run(); err != nil {
		t.Skipf("this host lets nobody make a network namespace: %v", err)
	}
	for _, backend := range []string{TSI, VirtioNet, ""} {
		s := site(t, backend)
		s.Run = agentOnHost(t, attr)
		rep, err := Run(t.Context(), s, quick, loopbackID, adminID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]Verdict{loopbackID: Inconclusive, adminID: Inconclusive}, verdicts(rep)); diff != "" {
			t.Errorf("%q (-want +got):\n%s\n%s", backend, diff, rep)
		}
		if f := finding(t, rep, loopbackID); f.Controls[0].State != Failed || f.Controls[2].State != Failed {
			t.Errorf("%q: %s", backend, f)
		}
	}
}

// An agent that hangs is given up, and the run ends with its context.
func TestAgentThatHangs(t *testing.T) {
	s := site(t, TSI)
	s.Run = func(ctx context.Context, _ []byte) ([]byte, error) {
		return exec.CommandContext(ctx, "sleep", "60").Output()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	rep, err := Run(ctx, s, quick, loopbackID)
	if !errors.Is(err, context.DeadlineExceeded) || rep.ExitCode() == 0 {
		t.Errorf("%v\n%s", err, rep)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}
