package tally

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The inputs below testdata are recordings: "go test -json" (go 1.26) of packages that pass, skip, fail, do not build, panic,
// hang into -timeout=2s, hold no test, leave TestMain early, have slashes in a
// subtest's name; go-killed is go-mixed cut off where a killed run would end.
func recorded(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoTest(t *testing.T) {
	const p = "rec.example/"
	for _, c := range []struct {
		name  string
		count string
		fail  []string // Case.String of each failure
		says  string   // part of the first failure's reason
	}{
		{"mixed", "3 passed, 2 failed, 1 skipped", []string{p + "mixed: TestTable/bad", p + "mixed: TestParentFailsAlone"}, "want 1, have 2"},
		{"slashes", "1 passed, 1 failed, 0 skipped", []string{p + "slashes: TestJudge/contain/denied"}, "reached"},
		{"broken", "0 passed, 1 failed, 0 skipped", []string{p + "broken"}, "cannot use \"no number\""},
		{"panics", "1 passed, 1 failed, 0 skipped", []string{p + "panics: TestPanics"}, "panic: out of walls"},
		{"hangs", "0 passed, 1 failed, 0 skipped", []string{p + "hangs: TestTicks/sub"}, "test timed out after 2s"},
		{"empty", "0 passed, 0 failed, 0 skipped", nil, ""},
		{"notests", "0 passed, 0 failed, 0 skipped", nil, ""},
		{"exits", "0 passed, 1 failed, 0 skipped", []string{p + "exits"}, "cannot set up: no engine"},
		{"killed", "2 passed, 2 failed, 0 skipped", []string{p + "mixed: TestTable/bad", p + "mixed: TestNeedsKVM"}, "want 1, have 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			have, err := GoTest(strings.NewReader(string(recorded(t, "go-"+c.name+".jsonl"))), &out)
			if err != nil {
				t.Fatal(err)
			}
			if have.String() != c.count {
				t.Errorf("%s, want %s", &have, c.count)
			}
			var failed []string
			for _, f := range have.Failures {
				failed = append(failed, f.String())
				if !strings.Contains(out.String(), "--- FAIL: "+f.String()) {
					t.Errorf("%s was not printed:\n%s", f, &out)
				}
			}
			if d := cmp.Diff(c.fail, failed); d != "" {
				t.Error(d)
			}
			if len(failed) > 0 && !strings.Contains(have.Failures[0].Reason, c.says) {
				t.Errorf("the reason %q does not say %q", have.Failures[0].Reason, c.says)
			}
		})
	}
}

func TestGoTestKeepsTheReasonOfASkip(t *testing.T) {
	have, err := GoTest(strings.NewReader(string(recorded(t, "go-mixed.jsonl"))), &strings.Builder{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Case{{"rec.example/mixed", "TestNeedsKVM", "mixed_test.go:12: needs /dev/kvm: no such device"}}
	if d := cmp.Diff(want, have.Skips); d != "" {
		t.Error(d)
	}
}

func TestGoTestPassesOnWhatIsNoEvent(t *testing.T) {
	var out strings.Builder
	have, err := GoTest(strings.NewReader("go: cannot find main module\n{\"a\":1}\n"), &out)
	if err != nil || have.Executed() != 0 {
		t.Fatalf("%s, %v", &have, err)
	}
	if want := "go: cannot find main module\n{\"a\":1}\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

// A run that is killed must not look better than one that ends: a stream cut after any line never counts more passes.
func FuzzGoTest(f *testing.F) {
	for _, name := range []string{"go-mixed.jsonl", "go-hangs.jsonl", "go-broken.jsonl"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole, err := GoTest(strings.NewReader(text), &strings.Builder{})
		if err != nil {
			t.Fatal(err)
		}
		half := text[:strings.LastIndexByte(text[:len(text)/2], '\n')+1]
		cut, err := GoTest(strings.NewReader(half), &strings.Builder{})
		if err != nil {
			t.Fatal(err)
		}
		if cut.Passed > whole.Passed {
			t.Errorf("half the stream: %s, the whole: %s", &cut, &whole)
		}
	})
}
