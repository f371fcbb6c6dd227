package smolvm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bottle.internal/smolvm/internal/wrapper"
	"bottle.internal/smolvm/smolvmtest"
)

// A transcript is what one smolvm said when the contract was run against it: testdata/transcripts/<release>.json. The fake replays
// it, and every later run of that engine has to say the same. "go tool mage record" makes it anew.
type transcript struct {
	// Engine is what it was recorded from: "smolvm 0.8.0 (simulated)". A real one's is worth more and goes before.
	Engine  string     `json:"engine"`
	Clauses []recorded `json:"clauses"`
}

type recorded struct {
	Clause string         `json:"clause"`
	Calls  []recordedCall `json:"calls"`
}

// A recordedCall is one process, with all in it that differs from run to run made alike.
type recordedCall struct {
	Args   []string `json:"args"`
	Exit   int      `json:"exit"` // -1: it was killed
	Stdout string   `json:"stdout,omitempty"`
	Stderr string   `json:"stderr,omitempty"`
	// Guest is true of a command that reported its end: Exit, Stdout and Stderr are the guest's then, and depend on its image.
	Guest bool `json:"guest,omitempty"`
	// Times says that Stdout is that often what stands there.
	Times int `json:"times,omitempty"`
	// Download is what a `machine cp` left on the host.
	Download string `json:"download,omitempty"`
}

// timedOut is what smolvm exits with when a command's own timeout ended it.
const timedOut = 124

// longOutput is from where on an output that repeats one byte is written down as such.
const longOutput = 4096

// A recorder collects what a Client's processes did, clause by clause.
type recorder struct {
	machine string
	apart   []string // directories of the run's own, on the host

	mu      sync.Mutex
	clauses []recorded
}

// begin opens a clause that keeps its files in dir. A nil recorder records nothing.
func (r *recorder) begin(clause, dir string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apart = append(r.apart, dir)
	r.clauses = append(r.clauses, recorded{Clause: clause})
}

// observe takes down one process; questions for the version belong to no clause.
func (r *recorder) observe(k call, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.clauses) == 0 || slices.Equal(k.argv, versionArgs()) {
		return
	}
	one := recordedCall{Exit: o.exit, Stdout: string(o.stdout), Stderr: string(o.stderr)}
	if at := slices.Index(k.argv, "--"); at >= 0 {
		if nonce, guest, ok := wrapper.Unwrap(k.argv[at+1:]); ok {
			k.argv = append(slices.Clone(k.argv[:at+1]), guest...)
			if rest, code, reported := wrapper.Strip(o.stderr, nonce); reported {
				one.Guest, one.Exit, one.Stderr = true, code, string(rest)
			}
		}
	}
	if n := len(k.argv); n > 3 && k.argv[1] == "cp" && strings.HasPrefix(k.argv[n-2], r.machine+":") && o.exit == 0 {
		text, _ := os.ReadFile(filepath.Join(k.dir, k.argv[n-1]))
		one.Download = string(text)
	}
	for _, a := range k.argv {
		one.Args = append(one.Args, r.alike(a))
	}
	if n := len(one.Stdout); n > longOutput && strings.Count(one.Stdout, one.Stdout[:1]) == n {
		one.Stdout, one.Times = one.Stdout[:1], n
	}
	one.Stdout, one.Stderr = r.alike(one.Stdout), r.alike(one.Stderr)
	last := &r.clauses[len(r.clauses)-1]
	last.Calls = append(last.Calls, one)
}

// differing are parts of smolvm's answers that no two runs share, and what stands for them.
var differing = []struct {
	text *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\(PID: \d+\)`), "(PID: 1)"},
	{regexp.MustCompile(`"(pid|created_at)": \d+`), `"$1": 1`},
	{regexp.MustCompile(`(?m)^\S*/vms/[0-9a-f]{16}$`), "/vms/0123456789abcdef"}, // a hash of the name
	{regexp.MustCompile(`smolvm-cp-\S+|\.smolvm-(cp|tar)-\S+`), "COPY"},
	{regexp.MustCompile(`\d+(\.\d+)? ?(B|KB|KiB|MB|MiB)/s`), "N B/s"},
}

// alike is text with what differs between two runs of the same engine taken out.
func (r *recorder) alike(text string) string {
	for _, path := range r.apart {
		text = strings.ReplaceAll(text, path, "DIR")
	}
	text = strings.ReplaceAll(text, r.machine, "m")
	for _, d := range differing {
		text = d.text.ReplaceAllString(text, d.with)
	}
	return text
}

// replies is the fake's script that plays t.
func (t transcript) replies() []smolvmtest.Reply {
	var all []smolvmtest.Reply
	for _, clause := range t.Clauses {
		for _, c := range clause.Calls {
			all = append(all, c.reply())
		}
	}
	return all
}

func (c recordedCall) reply() smolvmtest.Reply {
	r := smolvmtest.Reply{Argv: c.Args[:min(2, len(c.Args))], Download: c.Download}
	stdout := c.Stdout
	switch {
	case c.Times > 0:
		// Made up by the fake itself: every fake of a test reads the whole script.
		r.Handler = "12 MiB"
	case c.Guest:
		r.Guest = &smolvmtest.Guest{Stdout: stdout, Stderr: c.Stderr, Exit: c.Exit}
	case c.Exit < 0:
		// Until it is killed, which may be before it could take its reply.
		r.Delay, r.Times, r.Command = time.Minute, smolvmtest.AnyTimes, c.Args[slices.Index(c.Args, "--")+1:]
	default:
		r.Stdout, r.Stderr, r.Exit = stdout, c.Stderr, c.Exit
	}
	if at := slices.Index(c.Args, "--timeout"); at >= 0 && c.Exit == timedOut && !c.Guest {
		r.Delay, _ = time.ParseDuration(c.Args[at+1])
	}
	return r
}

func transcriptPath(release string) string {
	return filepath.Join("testdata", "transcripts", release+".json")
}

func readTranscript(t *testing.T, release string) transcript {
	t.Helper()
	text, err := os.ReadFile(transcriptPath(release))
	if err != nil {
		t.Fatalf("%v: go tool mage record makes it", err)
	}
	var have transcript
	if err := json.Unmarshal(text, &have); err != nil {
		t.Fatalf("%s: %v", transcriptPath(release), err)
	}
	return have
}

func (t transcript) write(tb testing.TB, release string) {
	tb.Helper()
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(t); err != nil {
		tb.Fatal(err)
	}
	path := transcriptPath(release)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// smolvmsOwn leaves of t what smolvm itself said: what a guest prints depends on its userland.
func (t transcript) smolvmsOwn() []recorded {
	var all []recorded
	for _, clause := range t.Clauses {
		own := recorded{Clause: clause.Clause}
		for _, c := range clause.Calls {
			if c.Guest {
				c.Stdout, c.Stderr, c.Times = "", "", 0
			}
			own.Calls = append(own.Calls, c)
		}
		all = append(all, own)
	}
	return all
}

// compare holds what was said now to what is written down. What two kinds of engine say of one release is where the simulator
// differs from the real thing, and a failure: one of them has to change.
func compare(t *testing.T, release string, now transcript) {
	t.Helper()
	kept := readTranscript(t, release)
	if diff := gocmp.Diff(kept.smolvmsOwn(), now.smolvmsOwn()); diff != "" {
		t.Errorf("%s says something else than %s did (-recorded +now); go tool mage record takes it down:\n%s",
			cmp.Or(now.Engine, "this smolvm"), kept.Engine, diff)
	}
}
