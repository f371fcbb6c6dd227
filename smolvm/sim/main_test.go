//go:build linux

package sim

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// program is the built smolvm-sim.
var program string

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == guestServer {
		serveInGuest(os.Args[2])
		return
	}
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "smolvm-sim-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // guest root executes what is in it
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program = filepath.Join(dir, "smolvm-sim")
	cmd := exec.Command("go", append(append([]string{"build", "-o", program}, coverFlags()...), "bottle.internal/cmd/smolvm-sim")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	if err := countInto(filepath.Join(dir, "counts")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := addCounts(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// A host is a user's machines, in directories of the test's own.
type host struct {
	t   *testing.T
	dir string
	env []string
}

// A result is one command line's.
type result struct {
	stdout, stderr string
	code           int
}

func newHost(t *testing.T, release string, env ...string) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir()}
	h.env = append([]string{
		"HOME=" + h.dir, "PATH=" + os.Getenv("PATH"), "SMOLVM_SIM_VERSION=" + release, "HOST_SECRET=do-not-leak", countVariable(),
	}, env...)
	t.Cleanup(h.clear)
	return h
}

// clear ends and deletes whatever the test left.
func (h *host) clear() {
	h.env = append(h.env, "SMOLVM_SIM_VERSION="+newest, "SMOLVM_SIM_FAULTS=")
	records, err := store{filepath.Join(h.dir, ".local/share/smolvm-sim/machines")}.list()
	if err != nil {
		h.t.Error(err)
	}
	for _, r := range records {
		if out := h.run("machine", "delete", "--force", "--name", r.Name); out.code != 0 {
			h.t.Errorf("delete %s: %+v", r.Name, out)
		}
	}
	h.run("_sweep")
	for _, sv := range supervisors(filepath.Join(h.dir, ".cache/smolvm-sim/vms")) {
		h.t.Errorf("left behind: supervisor %d", sv.pid)
		sv.kill()
	}
}

func (h *host) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = h.env
	cmd.Dir = h.dir
	return cmd
}

// run runs a command line to its end, stdin empty.
func (h *host) run(args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir = h.env, h.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		h.t.Fatalf("%q: %v", args, errors.Join(err, ctx.Err()))
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// inProcess is run without a process of its own. A start needs one: it boots what /proc/self/exe is.
func (h *host) inProcess(args ...string) result {
	h.t.Helper()
	if slices.Contains(args, "start") {
		return h.run(args...)
	}
	var stdout, stderr bytes.Buffer
	code := Main(args, h.env, strings.NewReader(""), &stdout, &stderr)
	return result{stdout.String(), stderr.String(), code}
}

// must is run of a command line that has to succeed.
func (h *host) must(args ...string) string {
	h.t.Helper()
	r := h.run(args...)
	if r.code != 0 {
		h.t.Fatalf("%q: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// boot makes and starts the machine m, or skips the test where the kernel refuses namespaces.
func (h *host) boot(flags ...string) {
	h.t.Helper()
	requireNamespaces(h.t)
	h.must(h.createArgs("m", flags...)...)
	h.must("machine", "start", "--name", "m")
}

func (h *host) createArgs(name string, flags ...string) []string {
	return append(append([]string{"machine", "create"}, h.named(name)...), flags...)
}

// named is a machine's name as create, delete, update and data-dir of the host's release take it.
func (h *host) named(name string) []string {
	f, err := personality(environOf(h.env)["SMOLVM_SIM_VERSION"])
	if err != nil {
		h.t.Fatal(err)
	}
	if f.NameFlag {
		return []string{"--name", name}
	}
	return []string{name}
}

// guest runs a shell command in the machine m and returns its stdout, or fails the test.
func (h *host) guest(script string) string {
	h.t.Helper()
	return h.must("machine", "exec", "--name", "m", "--", "sh", "-c", script)
}

func (h *host) vmDir(name string) string {
	return directories{vms: filepath.Join(h.dir, ".cache/smolvm-sim/vms")}.vm(name)
}

var refusal = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp("", "smolvm-sim-probe-")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	sim := func(args ...string) string {
		cmd := exec.Command(program, args...)
		cmd.Env = []string{"HOME=" + dir}
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	sim("machine", "create", "--name", "probe")
	defer sim("machine", "delete", "-f", "--name", "probe")
	if out := sim("machine", "start", "--name", "probe"); strings.Contains(out, "namespaces are refused") {
		return out
	}
	return ""
})

func requireNamespaces(t *testing.T) {
	t.Helper()
	if why := refusal(); why != "" {
		skip(t, why)
	}
}

// skip is t.Skip where a skip is allowed.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("BOTTLE_REQUIRE") == "1" {
		t.Fatalf("BOTTLE_REQUIRE=1 allows no skip: %s", why)
	}
	t.Skip(why)
}

var (
	pidText     = regexp.MustCompile(`(PID: |"pid": )\d+`)
	createdText = regexp.MustCompile(`("created_at": )\d+`)
	listedPID   = regexp.MustCompile(`(?m)(running +\d+ +\d+ MiB) +\d+$`)
)

// transcript is lines of several command lines, split at blanks.
func (h *host) transcript(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(h.lines(strings.Fields(line)))
	}
	return b.String()
}

// lines is how goldens show a command line: its exit code, stdout and stderr, what differs between runs replaced.
func (h *host) lines(args []string) string {
	r := h.inProcess(args...)
	text := fmt.Sprintf("$ smolvm %s\n%s%sexit %d\n\n", strings.Join(args, " "), block("", r.stdout), block("! ", r.stderr), r.code)
	text = pidText.ReplaceAllString(text, "${1}PID")
	text = createdText.ReplaceAllString(text, "${1}TIME")
	text = listedPID.ReplaceAllString(text, "$1 PID")
	return strings.ReplaceAll(text, h.dir, "HOME")
}

func block(prefix, text string) string {
	if text == "" {
		return ""
	}
	out := ""
	for line := range strings.Lines(text) {
		out += prefix + strings.TrimSuffix(line, "\n") + "\n"
	}
	return out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
