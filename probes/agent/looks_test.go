package agent

import (
	"fmt"
	"strings"
	"testing"
)

func TestFacts(t *testing.T) {
	var many facts
	for i := range 4000 {
		many.add("line", fmt.Sprint(i))
	}
	many.addLast("end")
	for name, c := range map[string]struct {
		facts
		want string
		cut  bool
	}{
		"none":         {facts{}, "", false},
		"sorted, once": {facts{all: []string{"b", "a", "b"}}, "a\nb\n", false},
		"in order":     {facts{all: []string{"9", "10"}, ordered: true}, "9\n10\n", false},
		"more":         {facts{all: []string{"a"}, last: []string{"z"}, cut: true}, "a\n…\nz\n", true},
		"nothing yet":  {facts{cut: true}, "…\n", true},
	} {
		if got := string(c.reply()); got != c.want || Cut(List, []byte(got)) != c.cut {
			t.Errorf("%s: %q, cut %t", name, got, Cut(List, []byte(got)))
		}
	}
	got := string(many.reply())
	if len(got) > MaxReply || len(got) < MaxReply-20 || !strings.HasSuffix(got, "\n…\nend\n") || !Cut(List, []byte(got)) {
		t.Errorf("%d bytes that end in %q", len(got), got[len(got)-20:])
	}
}

// What a guest calls a thing cannot make a fact of its own.
func TestFactsAreLines(t *testing.T) {
	var f facts
	f.add("c", "1:3", "/dev/a\nuid 0\x1b[2J")
	if got := string(f.reply()); got != "c 1:3 /dev/a?uid 0?[2J\n" {
		t.Errorf("%q", got)
	}
}

func TestCut(t *testing.T) {
	full := []byte(strings.Repeat("x\n", MaxReply/2))
	for _, c := range []struct {
		method Method
		reply  []byte
		want   bool
	}{
		{List, nil, false}, {List, []byte("a…\n"), false}, {List, []byte("…\n"), true}, {List, []byte("a\n…"), true},
		{List, full, true}, {Read, full, true}, {FollowLink, full, true},
		{Read, []byte("a\n…\n"), false}, {FollowLink, []byte("…\n"), false}, // a file may have such a line
	} {
		if got := Cut(c.method, c.reply); got != c.want {
			t.Errorf("%s %.20q: %t", c.method, c.reply, got)
		}
	}
}
