package agent

import (
	"bytes"
	"slices"
	"strings"
)

// CutMark is the line in a look's reply that stands for what a look could not tell.
const CutMark = "…"

// Cut reports whether the reply to a look by m lacks something: it had more to tell than MaxReply bytes, or not enough time. That a cut
// reply does not have a fact in it shows nothing. The content of a file is not looked into.
func Cut(m Method, reply []byte) bool {
	if len(reply) >= MaxReply || m == Read || m == FollowLink || m == HardLink {
		return len(reply) >= MaxReply
	}
	for line := range bytes.Lines(reply) {
		if string(bytes.TrimSuffix(line, []byte("\n"))) == CutMark {
			return true
		}
	}
	return false
}

// facts are what a look found, one a line.
type facts struct {
	all     []string
	last    []string // follow all, and are not cut
	ordered bool     // all is in an order already
	cut     bool     // there was more
}

// add adds a fact of fields. Letters that would end the line, or that a terminal acts on, are told as "?".
func (f *facts) add(fields ...string) { f.all = append(f.all, oneLine(fields)) }

func (f *facts) addLast(fields ...string) { f.last = append(f.last, oneLine(fields)) }

func oneLine(fields []string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.Join(fields, " "))
}

// reply is the facts in order, each once, cut at a line's end so that they have at most MaxReply bytes.
func (f *facts) reply() []byte {
	if !f.ordered {
		slices.Sort(f.all)
		f.all = slices.Compact(f.all)
	}
	room := MaxReply - len(CutMark) - 1
	for _, line := range f.last {
		room -= len(line) + 1
	}
	var b []byte
	for _, line := range f.all {
		if len(b)+len(line)+1 > room {
			f.cut = true
			break
		}
		b = append(append(b, line...), '\n')
	}
	if f.cut {
		b = append(b, CutMark+"\n"...)
	}
	for _, line := range f.last {
		b = append(append(b, line...), '\n')
	}
	return b
}
