package target

import "strings"

// carryIn is a script for a POSIX shell: it takes a program from its standard input into the directory $1 under the name $2, runs it, and
// takes it away again. Beyond the shell it needs cat, chmod and rm.
const carryIn = `f="$1/$2"
[ -d "$1" ] && [ -w "$1" ] || exit 90
trap 'rm -f "$f"' EXIT
trap 'exit 143' HUP INT TERM
umask 077
cat >"$f" || exit 91
[ -s "$f" ] || exit 92
chmod 700 "$f" || exit 91
"$f" </dev/null`

// What carryIn exits with before it has run the program. The shell's own are 126 for what must not be run there, and 127 for a word that
// is no command, such as cat.
const (
	exitNoDir   = 90
	exitNoSpace = 91
	exitNoStdin = 92
	exitNoExec  = 126
)

// quote is s for a shell that reads it as one word.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// joined is argv as one word, for a prefix that hands it to a shell, as ssh and sh -c do.
func joined(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = quote(a)
	}
	return strings.Join(words, " ")
}
