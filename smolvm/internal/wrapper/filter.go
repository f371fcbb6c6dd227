package wrapper

import (
	"bytes"
	"io"
)

// A Filter passes a live stderr on to W and takes the marks of its nonce out of it. It holds back only what may still become a mark: a
// line break and what of the nonce and the code follows it. It is for one goroutine.
//
// A guest can print a mark of its own; each of them is taken out, and the last one counts.
type Filter struct {
	// W gets what is no mark; nil discards it.
	W io.Writer

	head  []byte // "\n" nonce ":"
	held  []byte // the beginning of what may be a mark
	code  int
	found bool
}

// NewFilter returns a Filter of nonce, which must not be "".
func NewFilter(w io.Writer, nonce string) *Filter {
	return &Filter{W: w, head: []byte("\n" + nonce + ":")}
}

// Write never reports fewer bytes than it got unless W fails.
func (f *Filter) Write(p []byte) (int, error) {
	text := append(f.held, p...)
	f.held = nil
	var out []byte
	for len(text) > 0 {
		at := bytes.IndexByte(text, '\n')
		if at < 0 {
			out, text = append(out, text...), nil
			break
		}
		out, text = append(out, text[:at]...), text[at:]
		n, open := f.mark(text)
		if open {
			break
		}
		if n == 0 {
			out, n = append(out, '\n'), 1
		}
		text = text[n:]
	}
	f.held = bytes.Clone(text)
	return len(p), f.pass(out)
}

// mark looks at text, which begins with a line break: n is the length of the mark that it begins with, 0 for none; open says that more text
// may make it one.
func (f *Filter) mark(text []byte) (n int, open bool) {
	if len(text) <= len(f.head) {
		return 0, bytes.HasPrefix(f.head, text)
	}
	digits, ok := bytes.CutPrefix(text, f.head)
	if !ok {
		return 0, false
	}
	digits, _, closed := bytes.Cut(digits, []byte("\n"))
	code, good := exitCode(digits)
	switch {
	case !good:
		return 0, false
	case !closed:
		return 0, true
	}
	f.code, f.found = code, true
	return len(f.head) + len(digits) + 1, false
}

// Close passes on what was held back: it became no mark.
func (f *Filter) Close() error {
	held := f.held
	f.held = nil
	return f.pass(held)
}

// Code is the exit code in the last mark; ok is false when there was none.
func (f *Filter) Code() (code int, ok bool) { return f.code, f.found }

func (f *Filter) pass(text []byte) error {
	if f.W == nil || len(text) == 0 {
		return nil
	}
	_, err := f.W.Write(text)
	return err
}
