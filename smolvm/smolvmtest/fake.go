package smolvmtest

import (
	"os"
	"path/filepath"
)

// TB is what of a test the fake needs; *testing.T has it.
type TB interface {
	Helper()
	TempDir() string
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// A Fake is a scripted smolvm on disk. Its methods may be called at any time.
type Fake struct {
	// Path is the program, for smolvm.Client.Path.
	Path string

	tb  TB
	dir string
	s   script
}

// New makes a fake that answers each call with the first of replies that takes it and is not used up. When tb ends, calls that none of them
// took and replies that took none fail it.
func New(tb TB, replies ...Reply) *Fake {
	tb.Helper()
	return newFake(tb, script{Replies: replies})
}

// NewInOrder is New for calls that have to come in the order of replies; those with AnyTimes may come in between.
func NewInOrder(tb TB, replies ...Reply) *Fake {
	tb.Helper()
	return newFake(tb, script{InOrder: true, Replies: replies})
}

func newFake(tb TB, s script) *Fake {
	tb.Helper()
	dir := tb.TempDir()
	f := &Fake{Path: filepath.Join(dir, program), tb: tb, dir: dir, s: s}
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, f.Path)
	}
	var text []byte
	if err == nil {
		text, err = s.encode()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, scriptFile), text, 0o600)
	}
	if err != nil {
		tb.Fatalf("smolvmtest: making the fake: %v", err)
	}
	tb.Cleanup(f.check)
	return f
}

// Calls returns the calls so far, oldest first. One that is still being answered is among them.
func (f *Fake) Calls() []Call {
	f.tb.Helper()
	calls, err := readCalls(f.dir)
	if err != nil {
		f.tb.Fatalf("smolvmtest: %v", err)
	}
	return calls
}

// Lines is Calls as text, without those that only ask for the version.
func (f *Fake) Lines() []string {
	f.tb.Helper()
	var lines []string
	for _, c := range f.Calls() {
		if !begins(c.Argv, []string{"--version"}) {
			lines = append(lines, c.String())
		}
	}
	return lines
}

func (f *Fake) check() {
	f.tb.Helper()
	calls := f.Calls()
	for _, c := range calls {
		if c.Reply < 0 {
			f.tb.Errorf("smolvmtest: unscripted call: smolvm %s", c)
		}
	}
	n := used(calls)
	for i, r := range f.s.Replies {
		if want := max(r.Times, 1); r.Times != AnyTimes && n[i] < want {
			f.tb.Errorf("smolvmtest: reply %d to %q %q was asked for %d times, not %d", i, r.Argv, r.Command, n[i], want)
		}
	}
}
