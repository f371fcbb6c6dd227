package smolvm

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/smolvm/smolvmtest"
)

func TestVersionIsAskedOnce(t *testing.T) {
	c, fake := scripted(t, "0.8.0 (simulated)")
	for range 3 {
		v, err := c.Version(t.Context())
		if err != nil || v != (Version{Minor: 8, Simulated: true}) {
			t.Fatalf("%v, %v", v, err)
		}
	}
	if n := len(fake.Calls()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A version that could not be had is asked for again.
func TestVersionFailureIsNotKept(t *testing.T) {
	fake := smolvmtest.NewInOrder(t, smolvmtest.Reply{Exit: 1, Stderr: "broken\n"}, smolvmtest.Reply{Stdout: "other 1.0\n"}, smolvmtest.Version("1.0.2"))
	c := &Client{Path: fake.Path}
	_, err := c.Version(t.Context())
	if e := asError(t, err); e.ExitCode != 1 || e.Stderr != "broken\n" {
		t.Errorf("%+v", e)
	}
	_, err = c.Version(t.Context())
	wantIs(t, err, ErrUnsupported)
	if v, err := c.Version(t.Context()); err != nil || v != release(1, 0, 2) {
		t.Errorf("%v, %v", v, err)
	}
}

func TestTooOldRelease(t *testing.T) {
	c, fake := scripted(t, "0.7.9")
	wantIs(t, c.Create(t.Context(), "m", CreateOptions{}), ErrUnsupported)
	wantIs(t, c.Start(t.Context(), "m"), ErrUnsupported)
	wantIs(t, c.Delete(t.Context(), "m"), ErrUnsupported)
	noCalls(t, fake)
}

func TestNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, path := range []string{"", "smolvm-nightly", filepath.Join(t.TempDir(), "smolvm")} {
		_, err := (&Client{Path: path}).List(t.Context())
		wantIs(t, err, ErrNotInstalled)
	}
	noScript := filepath.Join(t.TempDir(), "smolvm")
	if err := os.WriteFile(noScript, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := (&Client{Path: noScript}).List(t.Context())
	wantIs(t, err, ErrNotInstalled)
	wantIs(t, err, fs.ErrNotExist)
	if e := asError(t, err); e.ExitCode != -1 || e.Argv[0] != noScript {
		t.Errorf("%+v", e)
	}
}

func TestNotAProgram(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "smolvm")
	if err := os.WriteFile(broken, []byte("\x7fELF garbage"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := (&Client{Path: broken}).List(t.Context())
	if e := asError(t, err); e.ExitCode != -1 || e.Err == nil {
		t.Errorf("%+v", e)
	}
}

func TestFoundOnPath(t *testing.T) {
	fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"))
	t.Setenv("PATH", filepath.Dir(fake.Path))
	c := &Client{}
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.path != fake.Path {
		t.Errorf("resolved to %q, not %q", c.path, fake.Path)
	}
}

// The path is made absolute once: a later change of directory does not find another program.
func TestRelativePath(t *testing.T) {
	fake := smolvmtest.New(t, smolvmtest.Reply{Stdout: "[]", Times: 2})
	t.Chdir(filepath.Dir(fake.Path))
	c := &Client{Path: "./smolvm"}
	if _, err := c.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if _, err := c.List(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestLog(t *testing.T) {
	var lines []string
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{}, failing("vm not found: m"))
	c.Logf = func(format string, args ...any) {
		lines = append(lines, strings.TrimSpace(format))
		for _, a := range args {
			lines[len(lines)-1] += "|" + strings.TrimPrefix(strings.TrimSpace(toString(a)), c.path)
		}
	}
	if err := c.Create(t.Context(), "m", CreateOptions{Env: []string{"TOKEN=secret"}}); err != nil {
		t.Fatal(err)
	}
	wantIs(t, c.Start(t.Context(), "m"), ErrNotFound)
	all := strings.Join(lines, "\n")
	if len(lines) != 3 || strings.Contains(all, "secret") || !strings.Contains(all, "create --name m -e TOKEN=…|exit 0|") || !strings.Contains(all, "start --name m|exit 1|") {
		t.Errorf("log:\n%s", all)
	}
}

func toString(a any) string {
	if s, ok := a.(string); ok {
		return s
	}
	return ""
}

func TestRewriteEditsWhatSmolvmGets(t *testing.T) {
	c, fake := scripted(t, "0.8.0", smolvmtest.Reply{Argv: []string{"machine", "create", "m", "--from"}})
	c.Rewrite = func(args []string) []string {
		if len(args) > 1 && args[1] == "create" {
			return append(args, "--from", "x.smolmachine")
		}
		return args
	}
	if err := c.Create(t.Context(), "m", CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wantLines(t, fake, "machine create m --from x.smolmachine")
}
