package wrapper

import (
	"bytes"
	"errors"
	"testing"
)

func TestFilter(t *testing.T) {
	for _, row := range []struct {
		name   string
		writes []string
		live   string // passed on before Close
		rest   string // in all
		code   int
		ok     bool
	}{
		{"alone", []string{"\nsmolvm-N:0\n"}, "", "", 0, true},
		{"in pieces", []string{"warning\n", "\n", "smolvm-", "N:", "13", "\n", "late"}, "warning\nlate", "warning\nlate", 13, true},
		{"an unfinished line", []string{"warning\nsmolvm-N:255\n"}, "warning", "warning", 255, true},
		{"a prompt is not held", []string{"password: "}, "password: ", "password: ", 0, false},
		{"a line break is", []string{"line\n"}, "line", "line\n", 0, false},
		{"until it is no mark", []string{"line\nsmolvm-", "X"}, "line\nsmolvm-X", "line\nsmolvm-X", 0, false},
		{"no code", []string{"\nsmolvm-N:x\n"}, "\nsmolvm-N:x", "\nsmolvm-N:x\n", 0, false},
		{"no exit code", []string{"\nsmolvm-N:256\n"}, "\nsmolvm-N:256", "\nsmolvm-N:256\n", 0, false},
		{"no digits", []string{"\nsmolvm-N:\n"}, "\nsmolvm-N:", "\nsmolvm-N:\n", 0, false},
		{"cut off", []string{"a\nsmolvm-N:1"}, "a", "a\nsmolvm-N:1", 0, false},
		{"two: the last", []string{"\nsmolvm-N:1\nx\nsmolvm-N:2\n"}, "x", "x", 2, true},
		{"line breaks before it", []string{"\n\n\n", "\nsmolvm-N:7\n"}, "\n\n\n", "\n\n\n", 7, true},
	} {
		var out bytes.Buffer
		f := NewFilter(&out, nonce)
		for _, w := range row.writes {
			if n, err := f.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("%s: %d, %v", row.name, n, err)
			}
		}
		live := out.String()
		err := f.Close()
		code, ok := f.Code()
		if err != nil || live != row.live || out.String() != row.rest || code != row.code || ok != row.ok {
			t.Errorf("%s: live %q, all %q, %d, %t, %v", row.name, live, out.String(), code, ok, err)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("broken pipe")

func TestFilterPassesErrorsOn(t *testing.T) {
	if _, err := NewFilter(broken{}, nonce).Write([]byte("x")); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	discards := NewFilter(nil, nonce)
	if _, err := discards.Write([]byte("x\nsmolvm-N:3\n")); err != nil {
		t.Error(err)
	}
	if code, ok := discards.Code(); code != 3 || !ok {
		t.Error(code, ok)
	}
}

// However a stream is cut, what comes out is the same, and it is what Strip says of the whole when there is one mark.
func FuzzFilter(f *testing.F) {
	f.Add([]byte("warning\n\nsmolvm-N:3\nlate"), byte(5))
	f.Add([]byte("\nsmolvm-N:\nsmolvm-N:25\n"), byte(1))
	f.Fuzz(func(t *testing.T, text []byte, step byte) {
		feed := func(size int) (string, int, bool) {
			var out bytes.Buffer
			filter := NewFilter(&out, nonce)
			for rest := text; len(rest) > 0; {
				n := min(size, len(rest))
				_, _ = filter.Write(rest[:n])
				rest = rest[n:]
			}
			_ = filter.Close()
			code, ok := filter.Code()
			return out.String(), code, ok
		}
		whole, code, ok := feed(len(text) + 1)
		cut, cutCode, cutOK := feed(int(step) + 1)
		if whole != cut || code != cutCode || ok != cutOK {
			t.Errorf("%q: %q, %d, %t in one piece, %q, %d, %t in pieces of %d", text, whole, code, ok, cut, cutCode, cutOK, int(step)+1)
		}
		if bytes.Count(text, []byte(nonce)) > 1 {
			return
		}
		rest, stripCode, stripOK := Strip(text, nonce)
		if string(rest) != whole || stripCode != code || stripOK != ok {
			t.Errorf("%q: %q, %d, %t, Strip says %q, %d, %t", text, whole, code, ok, rest, stripCode, stripOK)
		}
	})
}
