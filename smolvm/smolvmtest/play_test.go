package smolvmtest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bottle.internal/smolvm"
	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

// An exec is recognised by the guest's command, and the report is the client's own.
func TestExec(t *testing.T) {
	fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"),
		smolvmtest.Reply{Command: []string{"false"}, Guest: &smolvmtest.Guest{Exit: 1}},
		smolvmtest.Reply{Command: []string{"echo"}, Stderr: "noise\n", Guest: &smolvmtest.Guest{Stdout: "hi\n", Stderr: "hm\n", Exit: 3}})
	c := &smolvm.Client{Path: fake.Path}
	res, err := c.Exec(t.Context(), "m", smolvm.Command{Argv: []string{"echo", "hi"}, Env: []string{"A=1"}, Dir: "/d", Timeout: time.Second})
	if err != nil || res.ExitCode != 3 || string(res.Stdout) != "hi\n" || string(res.Stderr) != "noise\nhm\n" {
		t.Errorf("%+v, %v", res, err)
	}
	if res, err := c.Exec(t.Context(), "m", smolvm.Command{Argv: []string{"false"}}); err != nil || res.ExitCode != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	e, ok := fake.Calls()[1].Exec()
	e.Nonce = ""
	want := smolvmtest.Exec{Machine: "m", Dir: "/d", Timeout: "1s", Env: []string{"A=1"}, Argv: []string{"echo", "hi"}}
	if diff := cmp.Diff(want, e); !ok || diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"machine exec --name m --stream -w /d -e A=1 --timeout 1s -- echo hi", "machine exec --name m --stream -- false"}, fake.Lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoExec(t *testing.T) {
	for _, argv := range [][]string{nil, {"machine", "start"}, {"machine", "exec", "--name", "m"}, {"machine", "exec", "--name", "m", "--", "true"}} {
		if e, ok := (smolvmtest.Call{Argv: argv}).Exec(); ok {
			t.Errorf("%q is %+v", argv, e)
		}
	}
}

func TestHandler(t *testing.T) {
	fake := smolvmtest.New(t, smolvmtest.Reply{Handler: "count", Times: smolvmtest.AnyTimes})
	for _, want := range []string{"1\xff", "2\xff"} {
		if got := run(t, exec.Command(fake.Path)); got.stdout != want {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}

// A script that cannot be played is as loud as a call that is not in it.
func TestBadScripts(t *testing.T) {
	for name, row := range map[string]struct {
		reply smolvmtest.Reply
		argv  []string
	}{
		"no such handler":      {smolvmtest.Reply{Handler: "nobody"}, []string{"x"}},
		"a guest for no exec":  {smolvmtest.Reply{Guest: &smolvmtest.Guest{}}, []string{"machine", "start"}},
		"a download for no cp": {smolvmtest.Reply{Download: "x"}, []string{"machine", "cp", "./x", "m:/x"}},
		"a download to nowhere": {smolvmtest.Reply{Download: "x"},
			[]string{"machine", "cp", "m:/x", filepath.Join(t.TempDir(), "no", "dir")}},
	} {
		fake := smolvmtest.New(t, row.reply)
		if got := run(t, exec.Command(fake.Path, row.argv...)); got.exit != smolvmtest.ExitUnscripted || got.stderr == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, text := range map[string]string{"no JSON": "{", "none": ""} {
		fake := smolvmtest.New(t)
		script := filepath.Join(filepath.Dir(fake.Path), "replies.json")
		if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := run(t, exec.Command(fake.Path, "x")); got.exit != smolvmtest.ExitUnscripted {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// fatal is a recorder whose Fatalf panics, as it must not return.
type fatal struct{ recorder }

func (f *fatal) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func TestRepliesThatJSONWouldChange(t *testing.T) {
	for _, r := range []smolvmtest.Reply{{Stdout: "\xff"}, {Stderr: "\xff"}, {Download: "\xff"}, {Guest: &smolvmtest.Guest{Stdout: "\xff"}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", r)
				}
			}()
			smolvmtest.New(&fatal{recorder{T: t}}, r)
		}()
	}
}

func TestCallFacts(t *testing.T) {
	fake := smolvmtest.New(t, smolvmtest.Reply{Times: 2})
	upload := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(upload, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	apart := exec.Command(fake.Path, "machine", "cp", upload, "m:/f")
	apart.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	apart.Env, apart.Dir = []string{"A=1"}, t.TempDir()
	run(t, apart)
	fed := exec.Command(fake.Path, "x")
	fed.Stdin = strings.NewReader("input")
	run(t, fed)
	calls := fake.Calls()
	if c := calls[0]; !c.StdinEmpty || !c.Apart || c.Upload != "content" || c.Dir != apart.Dir || c.State != filepath.Dir(fake.Path) {
		t.Errorf("%+v", c)
	}
	if v, ok := calls[0].Lookup("A"); !ok || v != "1" {
		t.Errorf("A=%q, %t", v, ok)
	}
	if _, ok := calls[0].Lookup("HOME"); ok {
		t.Error("HOME is set")
	}
	if c := calls[1]; c.StdinEmpty || c.Apart || c.Upload != "" {
		t.Errorf("%+v", c)
	}
}

// The name on the command line is what counts, however the fake is found.
func TestFoundOnPath(t *testing.T) {
	fake := smolvmtest.New(t, smolvmtest.Reply{Stdout: "played"})
	t.Setenv("PATH", filepath.Dir(fake.Path)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if got := run(t, exec.Command("sh", "-c", "smolvm x")); got.stdout != "played" {
		t.Errorf("%+v", got)
	}
}
