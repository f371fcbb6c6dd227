package wrapper

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/internal/gobuild"
)

const nonce = "smolvm-N"

func TestStrip(t *testing.T) {
	for _, row := range []struct {
		name, stderr, rest string
		code               int
		ok                 bool
	}{
		{"alone", "\nsmolvm-N:0\n", "", 0, true},
		{"after text", "warning\n\nsmolvm-N:3\n", "warning\n", 3, true},
		{"after an unfinished line", "warning\nsmolvm-N:255\n", "warning", 255, true},
		{"text on both sides", "a\n\nsmolvm-N:7\n WARN late\n", "a\n WARN late\n", 7, true},
		{"digits after it", "a\nsmolvm-N:7\n42", "a42", 7, true},
		{"two: the last", "\nsmolvm-N:1\nx\nsmolvm-N:2\n", "\nsmolvm-N:1\nx", 2, true},
		{"a broken one last", "\nsmolvm-N:1\n\nsmolvm-N:", "\nsmolvm-N:", 1, true},
		{"cut off", "a\nsmolvm-N:1", "a\nsmolvm-N:1", 0, false},
		{"another nonce", "\nsmolvm-M:1\n", "\nsmolvm-M:1\n", 0, false},
		{"no code", "\nsmolvm-N:x\n", "\nsmolvm-N:x\n", 0, false},
		{"no exit code", "\nsmolvm-N:256\n", "\nsmolvm-N:256\n", 0, false},
		{"in a line", "x smolvm-N:1\n", "x smolvm-N:1\n", 0, false},
		{"nothing", "", "", 0, false},
	} {
		rest, code, ok := Strip([]byte(row.stderr), nonce)
		if string(rest) != row.rest || code != row.code || ok != row.ok {
			t.Errorf("%s: %q, %d, %t, want %q, %d, %t", row.name, rest, code, ok, row.rest, row.code, row.ok)
		}
	}
	if _, _, ok := Strip([]byte("\n:1\n"), ""); ok {
		t.Error("an empty nonce was found")
	}
}

func FuzzStrip(f *testing.F) {
	f.Add([]byte("warning\n"), []byte(" late\n"), byte(3))
	f.Add([]byte("\nsmolvm-N:"), []byte("\nsmolvm-N:1"), byte(0))
	f.Fuzz(func(t *testing.T, before, after []byte, code byte) {
		_, _, _ = Strip(before, nonce)
		if bytes.Contains(after, []byte(nonce)) || bytes.Contains(before, []byte(nonce)) {
			return
		}
		stderr := string(before) + Mark(nonce, int(code)) + string(after)
		rest, got, ok := Strip([]byte(stderr), nonce)
		if !ok || got != int(code) || string(rest) != string(before)+string(after) {
			t.Errorf("%q: %q, %d, %t", stderr, rest, got, ok)
		}
	})
}

func TestUnwrap(t *testing.T) {
	argv := []string{"echo", "", "-n"}
	gotNonce, guest, ok := Unwrap(Wrap(nonce, argv))
	if diff := cmp.Diff(argv, guest); !ok || gotNonce != nonce || diff != "" {
		t.Errorf("%q, %t (-want +got):\n%s", gotNonce, ok, diff)
	}
	gotNonce, guest, ok = Unwrap(By("/.bottle/agent", nonce, argv))
	if diff := cmp.Diff(argv, guest); !ok || gotNonce != nonce || diff != "" {
		t.Errorf("by a waiter: %q, %t (-want +got):\n%s", gotNonce, ok, diff)
	}
	for _, other := range [][]string{nil, {"/bin/x", "run", "job", "y"}, {"x", "run", nonce, "y"}, By("/.bottle/agent", nonce, nil), {"sh"}, {"sh", "-c", "true", "sh", nonce, "x"}, Wrap(nonce, nil)} {
		if _, _, ok := Unwrap(other); ok {
			t.Errorf("%q was unwrapped", other)
		}
	}
}

func TestPlain(t *testing.T) {
	argv := []string{"printf", "%s,", "a b", ""}
	guest, ok := UnwrapPlain(Plain(argv))
	if diff := cmp.Diff(argv, guest); !ok || diff != "" {
		t.Errorf("%t (-want +got):\n%s", ok, diff)
	}
	if _, ok := UnwrapPlain(Plain(nil)); ok {
		t.Error("nothing was unwrapped")
	}
	out, err := exec.Command("sh", Plain(argv)[1:]...).Output()
	if err != nil || string(out) != "a b,," {
		t.Errorf("%q, %v", out, err)
	}
	missing := exec.Command("sh", Plain([]string{"no-such-program"})[1:]...)
	if _ = missing.Run(); missing.ProcessState.ExitCode() != 127 {
		t.Errorf("%s, want 127", missing.ProcessState)
	}
}

// waiterOf is path where it is no shell.
func waiterOf(shell, path string) string {
	if filepath.Base(shell) == "bottle-agent" {
		return path
	}
	return ""
}

// The script in the shells at hand, and the waiter: what the command does is what is reported, and nothing else is on its streams.
func TestScript(t *testing.T) {
	agent, err := gobuild.Binary(t.Context(), gobuild.Target{Command: "bottle-agent"})
	if err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"sh", "dash", "bash", "busybox", agent} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here", shell)
			continue
		}
		for _, row := range []struct {
			argv           []string
			code           int
			stdout, stderr string // "…" for some
		}{
			{[]string{"true"}, 0, "", ""},
			{[]string{"sh", "-c", "echo out; echo err >&2; exit 3"}, 3, "out\n", "err\n"},
			{[]string{"sh", "-c", "printf x >&2"}, 0, "", "x"},
			{[]string{"sh", "-c", "kill -9 $$"}, 137, "", ""},
			{[]string{"sh", "-c", "kill -15 $$"}, 143, "", ""},
			{[]string{"no-such-program"}, 127, "", "…"},
			{[]string{"exit", "3"}, 127, "", "…"},
			{[]string{"/etc/passwd"}, 126, "", "…"},
			{[]string{"printf", `%s,`, `a\nb`, "$HOME", "", "x y"}, 0, `a\nb,$HOME,,x y,`, ""},
		} {
			wrapped := By(waiterOf(shell, path), nonce, row.argv)
			args := wrapped[1:]
			if shell == "busybox" {
				args = wrapped
			}
			var stdout, stderr bytes.Buffer
			cmd := exec.Command(path, args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) {
				t.Fatal(err)
			}
			rest, code, ok := Strip(stderr.Bytes(), nonce)
			said := strings.NewReplacer("\n", " ").Replace(string(rest))
			if row.stderr == "…" && len(rest) > 0 {
				rest = []byte(row.stderr)
			}
			if !ok || code != row.code || cmd.ProcessState.ExitCode() != code || stdout.String() != row.stdout || string(rest) != row.stderr {
				t.Errorf("%s, %q: mark %t, code %d (want %d), exit %d, stdout %q, stderr %q", shell, row.argv, ok, code, row.code, cmd.ProcessState.ExitCode(), stdout.String(), said)
			}
		}
	}
}
