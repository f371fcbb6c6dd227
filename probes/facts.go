package probes

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"bottle.internal/probes/agent"
)

// lines are the facts of a look: one a line, without blank ones and the mark that there are more.
func lines(reply []byte) []string {
	var all []string
	for line := range strings.Lines(string(reply)) {
		if line = strings.TrimSpace(line); line != "" && line != agent.CutMark {
			all = append(all, line)
		}
	}
	return all
}

// fact is what follows name on a line of its own, "" if there is none.
func fact(reply []byte, name string) string {
	for _, line := range lines(reply) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// undeclared says of the facts that are too many what they are, "" of none. It names a few: a guest can print as many as it likes.
func undeclared(what string, all []string) string {
	const most = 5
	if len(all) == 0 {
		return ""
	}
	named := strings.Join(all[:min(most, len(all))], ", ")
	if n := len(all) - most; n > 0 {
		named += fmt.Sprintf(" and %d more", n)
	}
	return "the guest has " + what + ": " + named
}

// contains shows whether a reply has one of the texts in it, and calls it what.
func contains(what string, texts ...string) func([]byte) string {
	return func(reply []byte) string {
		for _, text := range texts {
			if text != "" && bytes.Contains(reply, []byte(text)) {
				return what
			}
		}
		return ""
	}
}

// is shows whether a reply is exactly text, but for blanks around it, and calls it what.
func is(what, text string) func([]byte) string {
	return func(reply []byte) string {
		if text != "" && string(bytes.TrimSpace(reply)) == text {
			return what
		}
		return ""
	}
}

// matches reports whether name is one of the patterns, in which "*" stands for letters other than "/".
func matches(name string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}
