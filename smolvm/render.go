package smolvm

import (
	"regexp"
	"slices"
	"strings"

	"bottle.internal/smolvm/internal/wrapper"
)

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// render is argv for people: it can be pasted into a shell but for two things. The values of guest variables are left out, since
// they may be credentials, and so is the wrapper around a guest's command.
func render(argv []string) string {
	own, guest := argv, []string(nil)
	if at := slices.Index(argv, "--"); at >= 0 {
		own, guest = argv[:at], argv[at:]
		inner, plain := wrapper.UnwrapPlain(guest[1:])
		if _, argv, ok := wrapper.Unwrap(guest[1:]); ok {
			inner, plain = argv, true
		}
		if plain {
			guest = append([]string{"--"}, inner...)
		}
	}
	words := make([]string, 0, len(argv))
	for i, w := range own {
		if i > 0 && own[i-1] == "-e" {
			key, _, _ := strings.Cut(w, "=")
			w = key + "=…"
			words = append(words, w)
			continue
		}
		words = append(words, quote(w))
	}
	for _, w := range guest {
		words = append(words, quote(w))
	}
	return strings.Join(words, " ")
}

func quote(w string) string {
	if plainWord.MatchString(w) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
