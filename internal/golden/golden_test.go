package golden

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// A record is a test that writes down what is said of it.
type record struct{ said []string }

func (*record) Helper()                          {}
func (r *record) Errorf(format string, a ...any) { r.said = append(r.said, fmt.Sprintf(format, a...)) }
func (r *record) Fatal(args ...any)              { panic("fatal: " + fmt.Sprint(args...)) }

func TestCompare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "file")
	var r record
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a file that is not there is as wanted")
			}
		}()
		compare(&r, path, "", false)
	}()
	compare(&r, path, "one\ntwo\n", true)
	compare(&r, path, "one\ntwo\n", false)
	if len(r.said) > 0 {
		t.Errorf("what was written is not what is there: %q", r.said)
	}
	for _, other := range []string{"one\n", "one\ntwo", "one\ntwo\n\n", "one\nTwo\n", ""} {
		r.said = nil
		if compare(&r, path, other, false); len(r.said) != 1 || !strings.Contains(r.said[0], path) {
			t.Errorf("%q: %q", other, r.said)
		}
	}
}

func TestFile(t *testing.T) {
	File(t, "sample/text.golden", "a text\n")
	File(t, "sample/text.golden", []byte("a text\n"))
}
