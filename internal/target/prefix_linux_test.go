package target

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bottle.internal/probes"
)

func options(t *testing.T) Options {
	return Options{Logf: t.Logf}
}

func entered(t *testing.T, prefix ...string) *Sandbox {
	t.Helper()
	s, err := Behind(t.Context(), prefix, options(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func verdict(t *testing.T, s *Sandbox, id string) probes.Finding {
	t.Helper()
	rep, err := s.Probe(t.Context(), probes.Options{}, id)
	if err != nil {
		t.Fatal(err)
	}
	f, err := rep.Finding(id)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const canaryID = "net.tcp.canary.v4"

// What adds no wall is red, however its words reach the sandbox.
func TestBehindNoWall(t *testing.T) {
	for name, prefix := range map[string][]string{
		"nothing": nil, "words": {"env"}, "one word for a shell": {"sh", "-c"}, "an empty environment": {"env", "-i", "PATH=/usr/bin:/bin"},
	} {
		s := entered(t, prefix...)
		if f := verdict(t, s, canaryID); f.Verdict != probes.Leak {
			t.Errorf("%s: %s", name, f)
		}
		env := verdict(t, s, "env.decoy")
		if want := map[bool]probes.Verdict{true: probes.Contained, false: probes.Leak}[name == "an empty environment"]; name != "nothing" && env.Verdict != want {
			t.Errorf("%s: %s", name, env)
		}
	}
}

// The other way in needs nothing of the host's files in the sandbox, and leaves nothing there.
func TestByStream(t *testing.T) {
	content, err := binary(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := onHost(nil, nil, t.Logf)
	if err := byStream(run, content, dir, "agent").answers(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for name, c := range map[string]struct {
		run  runner
		dir  string
		want string
	}{
		"no such directory": {run, filepath.Join(dir, "none"), "no directory"},
		"no standard input": {func(ctx context.Context, c command) (result, error) {
			c.stdin = nil
			return run(ctx, c)
		}, dir, "want -i"},
		"another prober": {func(context.Context, command) (result, error) { return result{stdout: []byte("{\"schema\":2}\n")}, nil }, dir, "run"},
		"remarks only": {func(context.Context, command) (result, error) {
			return result{stderr: []byte("motd\nbye\n"), code: 3}, nil
		}, dir, `exit code 3, and no answer of the agent's in 0 bytes: "bye"`},
	} {
		err := byStream(c.run, content, c.dir, "agent").answers(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where no program gets in, a shell's own tools are asked, and what they say is weaker evidence.
func TestByShell(t *testing.T) {
	s := entered(t, "sh", "-c", `exec "$@" </dev/null`, "sh", "env", "-i", "PATH="+os.Getenv("PATH"), "sh", "-c", `[ -x "$1" ] && [ -f "$1" ] && exit 126; exec "$@"`, "sh")
	f := verdict(t, s, canaryID)
	if !s.way.weak || f.Verdict != probes.Leak || f.Assurance != "L1" || !strings.Contains(f.String(), "weaker evidence") {
		t.Errorf("%s: %s", s.Way(), f)
	}
}

// A launcher's remarks around the answer, and a terminal's line ends, cost nothing.
func TestAnswerAmongRemarks(t *testing.T) {
	got, err := answer(result{stdout: []byte("Welcome!\r\n> {\"schema\":2,\"run\":\"x\"}\r\nbye\n")}, nil)
	if string(got) != `{"schema":2,"run":"x"}` || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A sandbox that cannot be asked is an error that says why, at once, and leaves nothing on the host.
func TestBehindBroken(t *testing.T) {
	if testing.Short() {
		t.Skip("one of them has to be waited for")
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for name, c := range map[string]struct {
		prefix []string
		want   string
	}{
		"no such command": {[]string{"bottle-no-such-command"}, "not found"},
		"garbage":         {[]string{"sh", "-c", "echo '{\"schema\":9'", "sh"}, "unexpected EOF"},
		"a flood":         {[]string{"sh", "-c", "yes", "sh"}, ErrFlood.Error()},
		"a sudden end":    {[]string{"sh", "-c", "kill -9 $$", "sh"}, "killed"},
		"no permission":   {[]string{"sh", "-c", "echo 'permission denied' >&2; exit 126", "sh"}, "permission denied"},
	} {
		begin := time.Now()
		s, err := Behind(t.Context(), c.prefix, options(t))
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), c.want) || s != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
		if took := time.Since(begin); took > tryLimit {
			t.Errorf("%s: took %s", name, took)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A command that does not end is ended, with what it has started.
func TestOnHostEnds(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errHangs)
	defer cancel()
	begin := time.Now()
	_, err := onHost(nil, nil, t.Logf)(ctx, command{argv: []string{"sh", "-c", "sleep 60 & wait"}})
	if !errors.Is(err, errHangs) || time.Since(begin) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

// Without a network, and with the host's kernel to say so, a sandbox is contained; with one it is not.
func TestWitness(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "unshare", "--user", "--map-root-user", "--net", "true").CombinedOutput(); err != nil {
		t.Fatalf("this test needs user and network namespaces: %v: %s", err, out)
	}
	s := entered(t, "unshare", "--user", "--map-root-user", "--net")
	f := verdict(t, s, canaryID)
	if f.Verdict != probes.Contained || !strings.Contains(f.String(), "this host's kernel has process") {
		t.Errorf("%s", f)
	}
	if s.site.Borrowed != "" {
		t.Errorf("borrowed: %q", s.site.Borrowed)
	}
	shared := entered(t, "env")
	if f := verdict(t, shared, canaryID); f.Verdict != probes.Leak {
		t.Errorf("%s", f)
	}
	if !strings.Contains(shared.site.Borrowed, "this host's own") {
		t.Errorf("borrowed: %q", shared.site.Borrowed)
	}
	if _, err := shared.witness.testify(t.Context()); err == nil {
		t.Error("a sandbox in the host's network has none, by the host's word")
	}
}

func TestInterfaces(t *testing.T) {
	got := interfaces("Inter-|   Receive\n face |bytes\n    lo: 1 2\n  eth0:9 9\nbottle0: 0 0 0\nbottle1: 0 1 0\nbottles: 0 0\nbottle2:\n")
	if strings.Join(got, " ") != "lo eth0 bottle1 bottles bottle2" { // bottle0 is the agent's, and nothing ever passed it
		t.Errorf("%q", got)
	}
}

func TestShown(t *testing.T) {
	if got, want := shown([]string{"sh", "-c", "it's", ""}), `sh -c 'it'\''s' ''`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
