package waiter_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/internal/gobuild"
)

// binaries are bottle-agent with the entry point of its own and without: they must not differ.
func binaries(t *testing.T) map[string]string {
	t.Helper()
	entry, err := gobuild.Binary(t.Context(), gobuild.Target{Command: "bottle-agent"})
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", plain, "bottle.internal/cmd/bottle-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return map[string]string{"entry": entry, "plain": plain}
}

type end struct {
	code           int
	stdout, stderr string
}

func run(t *testing.T, program string, env []string, argv ...string) end {
	t.Helper()
	cmd := exec.Command(program, append([]string{"run", "NONCE"}, argv...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = &stdout, &stderr, env, t.TempDir()
	err := cmd.Run()
	if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	return end{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// script writes an executable without an interpreter line, and file one without the right to be run.
func programs(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, mode := range map[string]os.FileMode{"bare": 0o755, "locked": 0o644, "true": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("echo bare \"$#\" \"$1\"; exit 9\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEnds(t *testing.T) {
	dir := programs(t)
	long := strings.Repeat("/none:", 300)
	path := "PATH=" + dir + ":/usr/bin:/bin"
	for name, program := range binaries(t) {
		for _, row := range []struct {
			name string
			env  []string
			argv []string
			want end
		}{
			{"a success", []string{path}, []string{"sh", "-c", "exit 0"}, end{0, "", "\nNONCE:0\n"}},
			{"one digit", []string{path}, []string{"sh", "-c", "echo o; echo e >&2; exit 7"}, end{7, "o\n", "e\n\nNONCE:7\n"}},
			{"three digits", []string{path}, []string{"sh", "-c", "exit 205"}, end{205, "", "\nNONCE:205\n"}},
			{"a signal", []string{path}, []string{"sh", "-c", "kill -9 $$"}, end{137, "", "\nNONCE:137\n"}},
			{"no such program", []string{path}, []string{"nosuch"}, end{127, "", "nosuch: not found\n\nNONCE:127\n"}},
			{"no such path", []string{path}, []string{"/no/such"}, end{127, "", "/no/such: not found\n\nNONCE:127\n"}},
			{"a builtin", []string{path}, []string{"exit", "3"}, end{127, "", "exit: not found\n\nNONCE:127\n"}},
			{"no right to it", []string{path}, []string{"locked"}, end{126, "", "locked: cannot be run\n\nNONCE:126\n"}},
			{"a directory", []string{path}, []string{"/"}, end{126, "", "/: cannot be run\n\nNONCE:126\n"}},
			{"no right to the first, the second runs", []string{path}, []string{"true"}, end{0, "", "\nNONCE:0\n"}},
			{"no interpreter line", []string{path}, []string{"bare", "x y", ""}, end{9, "bare 2 x y\n", "\nNONCE:9\n"}},
			{"no interpreter line, by its path", []string{path}, []string{dir + "/bare"}, end{9, "bare 0 \n", "\nNONCE:9\n"}},
			{"the environment", []string{path, "A=b c"}, []string{"sh", "-c", `printf %s "$A"`}, end{0, "b c", "\nNONCE:0\n"}},
			{"arguments", []string{path}, []string{"printf", `%s,`, `a\nb`, "$HOME", "", "run"}, end{0, `a\nb,$HOME,,run,`, "\nNONCE:0\n"}},
			{"no program at all", []string{path}, []string{""}, end{127, "", ": not found\n\nNONCE:127\n"}},
			{"a long PATH of nothing", []string{"PATH=" + long}, []string{"true"}, end{127, "", "true: not found\n\nNONCE:127\n"}},
		} {
			if got := run(t, program, row.env, row.argv...); got != row.want {
				t.Errorf("%s, %s: %+v, want %+v", name, row.name, got, row.want)
			}
		}
	}
}

// Without its verb the program is the agent, whichever entry it came in by.
func TestTheAgentIsStillThere(t *testing.T) {
	for name, program := range binaries(t) {
		for _, args := range [][]string{{"/no/request"}, {"run", "x"}, {"ru", "x", "y"}, {"runs", "x", "true"}, {"", "x", "true"}} {
			out, err := exec.Command(program, args...).CombinedOutput()
			var exited *exec.ExitError
			if !errors.As(err, &exited) || exited.ExitCode() != 2 || !bytes.HasPrefix(out, []byte("bottle-agent: ")) {
				t.Errorf("%s, %q: %v, %q", name, args, err, out)
			}
		}
	}
}
