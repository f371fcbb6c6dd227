package smolvm

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func TestMain(m *testing.M) { smolvmtest.Main(m, handlers(), liveHandlers()) }

// golden compares got with a file of testdata, or makes it so.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; -update rewrites it (-want +got):\n%s", path, diff)
	}
}

// scripted is a client of a fake that plays replies in their order and tells release for its version.
func scripted(t *testing.T, release string, replies ...smolvmtest.Reply) (*Client, *smolvmtest.Fake) {
	t.Helper()
	fake := smolvmtest.NewInOrder(t, append([]smolvmtest.Reply{smolvmtest.Version(release)}, replies...)...)
	return &Client{Path: fake.Path, Grace: 5 * time.Second, Logf: t.Logf}, fake
}

// failing is a smolvm that fails with exit code 1 and message.
func failing(message string) smolvmtest.Reply {
	return smolvmtest.Reply{Exit: 1, Stderr: "Error: " + message + "\n"}
}

func wantLines(t *testing.T, fake *smolvmtest.Fake, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, fake.Lines()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func wantIs(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error %v, want one that is %v", err, target)
	}
}

// asError is err as the *Error it has to be.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *Error", err)
	}
	return e
}

// noCalls fails the test for every call that reached smolvm, but those for its version.
func noCalls(t *testing.T, fake *smolvmtest.Fake) {
	t.Helper()
	if lines := fake.Lines(); len(lines) > 0 {
		t.Errorf("a process was started: %q", lines)
	}
}

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
