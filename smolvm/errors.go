package smolvm

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// What callers branch on, with errors.Is. Those from ErrInvalid on are decided before any machine is touched, and come without
// an *Error; the others come inside one.
var (
	// ErrNotInstalled: there is no smolvm to run.
	ErrNotInstalled = errors.New("smolvm is not installed")
	// ErrNotFound: there is no machine of that name.
	ErrNotFound = errors.New("no such machine")
	// ErrExists: Create found a machine of that name.
	ErrExists = errors.New("the machine exists already")
	// ErrNotRunning: the machine is known and not running. Nothing starts it on its own.
	ErrNotRunning = errors.New("the machine is not running")
	// ErrState: the machine's state does not allow the call.
	ErrState = errors.New("the machine is in the wrong state")
	// ErrBusy: another process is at the same machine or database. Trying again may help.
	ErrBusy = errors.New("smolvm is busy")
	// ErrBoot: the guest did not come up.
	ErrBoot = errors.New("the machine did not boot")
	// ErrNoHypervisor: the host offers smolvm no hypervisor, or not to this user.
	ErrNoHypervisor = errors.New("no usable hypervisor")
	// ErrUsage: smolvm did not understand its command line; most likely its version is not what it says.
	ErrUsage = errors.New("smolvm does not understand the command line")
	// ErrOutputLimit: a command printed more than 64 MiB on one stream and was ended for it.
	ErrOutputLimit = errors.New("too much output")
	// ErrUnsafe: the guest sent what is not taken from it: a link, a path that leads elsewhere, too much.
	ErrUnsafe = errors.New("refused from the guest")
	// ErrPolicy: this release cannot hold the egress policy asked for. Said by smolvm, or by the client where smolvm would drop the
	// policy without a word.
	ErrPolicy = errors.New("the egress policy cannot be held")
	// ErrUnsupported: this release has no way to do what was asked, or no client for it.
	ErrUnsupported = errors.New("not supported by this release of smolvm")
	// ErrInvalid: an argument is malformed.
	ErrInvalid = errors.New("invalid argument")
)

// errRaced is the class of a command that clashed with another in the guest agent; Exec repeats it once.
var errRaced = fmt.Errorf("%w: commands clashed in the guest", ErrBusy)

// errNoReport: the wrapper around a guest's command left no mark, so what smolvm says of it is smolvm's own.
var errNoReport = errors.New("the guest's command did not report its end")

// An Error is a smolvm process that failed.
type Error struct {
	// Argv is the command line, program first.
	Argv []string
	// ExitCode is smolvm's; -1 when it was not started or was killed.
	ExitCode int
	// Stderr is what it printed there, whole.
	Stderr string
	// Err is what it means: one of the sentinels, a context's error, what the system said; nil when none of these is known.
	Err error
}

// Error names the call, the exit code and the last line of stderr. Values of guest variables are left out.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(render(e.Argv))
	if e.ExitCode >= 0 {
		fmt.Fprintf(&b, ": exit %d", e.ExitCode)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if said := lastWords(e.Stderr); said != "" {
		b.WriteString(": " + said)
	}
	return b.String()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// lastWords is smolvm's own error message in stderr, else the last line; a progress bar counts as one line.
func lastWords(stderr string) string {
	if said, ok := errorText(stderr); ok {
		return shorten(said)
	}
	stderr = strings.TrimRight(stderr, "\r\n \t")
	return shorten(strings.TrimSpace(stderr[strings.LastIndexAny(stderr, "\r\n")+1:]))
}

func shorten(s string) string {
	const limit = 600
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// errorText is the message of the last `Error: …` line (`error: …` with --stream and from the parser of the command line), to the
// end of stderr, for a message may have several lines.
func errorText(stderr string) (string, bool) {
	at := -1
	for _, word := range []string{"Error: ", "error: "} {
		if strings.HasPrefix(stderr, word) {
			at = max(at, 0)
		}
		for _, brk := range []string{"\n", "\r"} {
			if i := strings.LastIndex(stderr, brk+word); i >= 0 {
				at = max(at, i+1)
			}
		}
	}
	if at < 0 {
		return "", false
	}
	return strings.TrimSpace(stderr[at+len("Error: "):]), true
}

// textClasses map smolvm's messages to sentinels; the first that matches wins. They stand in this order because a later text may
// be quoted inside an earlier one's ("start machine: … another process is already …").
var textClasses = []struct {
	text *regexp.Regexp
	err  error
}{
	{regexp.MustCompile(`\bvm not found: |\bmachine '[^']*' not found`), ErrNotFound},
	{regexp.MustCompile(`\bmachine '[^']*' already exists`), ErrExists},
	{regexp.MustCompile(`another process is already starting`), ErrBusy},
	{regexp.MustCompile(`database (table )?is locked|configure pragmas: .*\blocked`), errLocked},
	{regexp.MustCompile(`load config\.json|trailing garbage`), errRaced},
	{regexp.MustCompile(`\bmachine '[^']*' is not running`), ErrNotRunning},
	{regexp.MustCompile(`\binvalid vm state: `), ErrState},
	{regexp.MustCompile(`(^|: )kvm (not available|permission denied)`), ErrNoHypervisor},
	{regexp.MustCompile(`did not become ready`), ErrBoot},
	{regexp.MustCompile(`published ports require|does not support published ports`), ErrUnsupported}, // before net-backend
	{regexp.MustCompile(`\begress (policy|flags|rules)\b|\bset egress\b|net-backend|--allow-(cidr|host)`), ErrPolicy},
	{regexp.MustCompile(`^agent operation failed: start machine: `), ErrBoot},
}

// classify says what a smolvm that exited with code and printed stderr meant; nil when it is none of the sentinels. This is the
// only place that reads smolvm's messages.
func classify(code int, stderr string) error {
	if code == 2 {
		return ErrUsage
	}
	said, ok := errorText(stderr)
	if code == 0 || !ok {
		return nil
	}
	return classifyText(said)
}

// classifyText says what a message of smolvm's means; nil when it is none of the sentinels.
func classifyText(said string) error {
	for _, c := range textClasses {
		if c.text.MatchString(said) {
			return c.err
		}
	}
	return nil
}
