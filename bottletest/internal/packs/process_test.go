package packs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maker is the name that makes the test binary a process that uses a pack: maker DIR TEXT.
const maker = "packs-maker"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == maker {
		os.Exit(runMaker(os.Args[1], os.Args[2]))
	}
	os.Exit(m.Run())
}

// runMaker uses the pack of alpine and says on standard output how that goes, a line each: "building" with half a pack written, then, after
// a line from standard input, "made" or "found". It has the pack in use until its input ends.
func runMaker(dir, text string) int {
	in := bufio.NewReader(os.Stdin)
	c := &Cache{Dir: dir, Logf: func(f string, args ...any) { fmt.Printf(f+"\n", args...) }}
	p, err := c.Use(context.Background(), alpine, func(ctx context.Context, dir string) (string, error) {
		pack := filepath.Join(dir, "made.smolmachine")
		err := os.WriteFile(pack, []byte(text[:len(text)/2]), 0o600)
		fmt.Println("building")
		_, inErr := in.ReadString('\n')
		return pack, errors.Join(err, inErr, os.WriteFile(pack, []byte(text), 0o600))
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(map[bool]string{true: "made", false: "found"}[p.Made])
	_, _ = io.Copy(io.Discard, in)
	return 0
}

// A process is a running maker.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startMaker(t *testing.T, dir, text string) *process {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	name := filepath.Join(t.TempDir(), maker)
	must(t, os.Symlink(self, name))
	p := &process{t: t, cmd: exec.Command(name, dir, text)}
	p.in, err = p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.out = bufio.NewReader(out)
	must(t, p.cmd.Start())
	t.Cleanup(p.end)
	return p
}

func (p *process) end() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// says waits for a line that begins with want.
func (p *process) says(want string) {
	p.t.Helper()
	if line, err := p.out.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
		p.t.Fatalf("the other process says %q, %v; want %q", line, err, want)
	}
}

func (p *process) goOn() {
	p.t.Helper()
	_, err := io.WriteString(p.in, "\n")
	must(p.t, err)
}

// TestTwoProcessesDoTheWorkOnce: the second one waits for the first and takes its pack.
func TestTwoProcessesDoTheWorkOnce(t *testing.T) {
	dir := t.TempDir()
	first := startMaker(t, dir, "whole")
	first.says("building")
	second := startMaker(t, dir, "another")
	second.says("waiting")
	first.goOn()
	first.says("made")
	second.says("found")
	wantContent(t, use(t, &Cache{Dir: dir}, alpine, never(t)), "whole")
}

// TestKilledBuildLeavesNothingUsable kills the process with half a pack written: the next one waits for nobody and makes its own.
func TestKilledBuildLeavesNothingUsable(t *testing.T) {
	dir := t.TempDir()
	first := startMaker(t, dir, "whole")
	first.says("building")
	c := &Cache{Dir: dir}
	if left, err := os.ReadDir(c.newDir()); err != nil || len(left) != 1 {
		t.Fatalf("the build is not where this test looks for it: %v, %v", left, err)
	}
	must(t, first.cmd.Process.Kill())
	_ = first.cmd.Wait()
	if p, err := c.Newest(t.Context(), alpine); !errors.Is(err, ErrNone) {
		t.Errorf("half a pack was found: %+v, %v", p, err)
	}
	wantContent(t, use(t, c, alpine, writes("mine")), "mine")
	if left, err := os.ReadDir(c.newDir()); err != nil || len(left) != 0 {
		t.Errorf("what the killed build left is still there: %v, %v", left, err)
	}
}

// TestPruneSweepsWhatKilledBuildsLeft and not what a living one writes.
func TestPruneSweepsWhatKilledBuildsLeft(t *testing.T) {
	dir := t.TempDir()
	first := startMaker(t, dir, "whole")
	first.says("building")
	c := &Cache{Dir: dir}
	c.Prune()
	if left, err := os.ReadDir(c.newDir()); err != nil || len(left) != 1 {
		t.Errorf("a prune took what a living process builds: %v, %v", left, err)
	}
	must(t, first.cmd.Process.Kill())
	_ = first.cmd.Wait()
	c.Prune()
	if left, err := os.ReadDir(c.newDir()); err != nil || len(left) != 0 {
		t.Errorf("a prune leaves %v, %v", left, err)
	}
}

// TestPackInUseByAnotherProcessIsKept until that process ends, however it ends.
func TestPackInUseByAnotherProcessIsKept(t *testing.T) {
	dir := t.TempDir()
	other := startMaker(t, dir, "whole")
	other.says("building")
	other.goOn()
	other.says("made")
	c := &Cache{Dir: dir, Limit: 1}
	if removed := c.Prune(); len(removed) > 0 {
		t.Errorf("removed what another process uses: %q", removed)
	}
	must(t, other.cmd.Process.Kill())
	_ = other.cmd.Wait()
	if removed := c.Prune(); len(removed) != 1 {
		t.Errorf("removed %q", removed)
	}
}
