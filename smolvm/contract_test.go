package smolvm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bottle.internal/internal/gobuild"
)

// One table of calls for three implementations: the simulator in every personality, the smolvm that $BOTTLE_SMOLVM names, and the
// fake, which replays what one of the others has said and so cannot drift from them. HOME is a directory of the test's own; a real
// smolvm needs SMOLVM_AGENT_ROOTFS in the environment where its rootfs is not the installed one.

var recording = flag.Bool("record", false, "write down what the engines say in testdata/transcripts")

// A contract is one run of the table.
type contract struct {
	*testing.T
	client  *Client
	version Version
	name    string // of the machine
	dir     string // on the host, for files
}

// A clause is one call and what has to come of it.
type clause struct {
	name string
	do   func(contract) error
	want error
}

// personalities are the releases that the simulator shows.
var personalities = []string{"0.8.0", "0.8.1", "1.0.2", "1.0.4", "1.1.3", "1.2.5", "1.4.1", "1.7.2", "1.8.0", "1.9.3"}

// turningPoints are the personalities between which the client's own command lines differ.
var turningPoints = []string{"0.8.0", "1.0.2", "1.8.0", "1.9.3"}

func TestContractFake(t *testing.T) {
	for _, release := range turningPoints {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			said := readTranscript(t, release)
			c, _ := scripted(t, release, said.replies()...)
			runContract(t, c, "m", nil)
		})
	}
}

// TestContractEngine runs the table against what can be run here. With -record its answers are written down, a real smolvm's
// over a simulated one's and never the other way round; without, they are held to what is written.
func TestContractEngine(t *testing.T) { eachEngine(t, personalities, contractOf) }

// eachEngine runs do against the smolvm that $BOTTLE_SMOLVM names, and the simulator in each of releases.
func eachEngine(t *testing.T, releases []string, do func(t *testing.T, path, release string)) {
	engines := map[string][]string{} // by program, the SMOLVM_SIM_VERSIONs to run it as
	if path := os.Getenv("BOTTLE_SMOLVM"); path != "" {
		engines[path] = []string{os.Getenv("SMOLVM_SIM_VERSION")}
	}
	if runtime.GOOS == "linux" {
		path, err := gobuild.Binary(t.Context(), gobuild.Target{Command: "smolvm-sim"})
		if err != nil {
			t.Fatal(err)
		}
		engines[path] = releases
	}
	if len(engines) == 0 {
		t.Skip("BOTTLE_SMOLVM names no smolvm, and the simulator runs on Linux only")
	}
	for path, releases := range engines {
		for _, release := range releases {
			t.Run(filepath.Base(path)+" "+release, func(t *testing.T) {
				t.Parallel()
				do(t, path, release)
			})
		}
	}
}

func contractOf(t *testing.T, path, release string) {
	c, name, home := apartClient(t, path, release)
	r := &recorder{machine: name, apart: []string{home}}
	c.observe = r.observe
	v := runContract(t, c, name, r)
	if t.Failed() {
		return
	}
	now := transcript{Engine: "smolvm " + v.String(), Clauses: r.clauses}
	number := strings.Fields(v.String())[0]
	if *recording && (!v.Simulated || recordedFromSimulator(number)) {
		now.write(t, number)
		return
	}
	compare(t, number, now)
}

// apartClient is a client whose machines are apart from the user's, and the name of the one that is removed at the end.
func apartClient(t *testing.T, path, release string) (c *Client, name, home string) {
	env, home := apartEnv(t)
	c = &Client{Path: path, Env: env, Logf: t.Logf}
	if release != "" {
		c.Env = append(c.Env, "SMOLVM_SIM_VERSION="+release)
	}
	name = "bottle-contract-" + strings.ToLower(rand.Text()[:8])
	t.Cleanup(func() {
		if err := errors.Join(c.Stop(context.Background(), name), c.Delete(context.Background(), name)); err != nil {
			t.Error(err)
		}
	})
	return c, name, home
}

// recordedFromSimulator reports whether a simulator may write the transcript of release: there is none, or it is its own.
func recordedFromSimulator(release string) bool {
	text, err := os.ReadFile(transcriptPath(release))
	return err != nil || bytes.Contains(text, []byte("(simulated)"))
}

// apartEnv keeps the machines of the test apart from the user's. The directory's name is short: sockets live in it.
func apartEnv(t *testing.T) (env []string, home string) {
	t.Helper()
	home, err := os.MkdirTemp("", "sv") //nolint:usetesting // t.TempDir is too long for the sockets on macOS
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	env = []string{"HOME=" + home}
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"} {
		env = append(env, name+"="+filepath.Join(home, name))
	}
	if dir, err := os.UserCacheDir(); err == nil {
		rootfs := filepath.Join(filepath.Dir(dir), "Application Support", "smolvm", "agent-rootfs") // macOS
		if user, err := os.UserHomeDir(); err == nil && filepath.Base(dir) != "Caches" {
			rootfs = filepath.Join(user, ".local", "share", "smolvm", "agent-rootfs")
		}
		if _, err := os.Stat(rootfs); err == nil {
			env = append(env, "SMOLVM_AGENT_ROOTFS="+rootfs)
		}
	}
	// By name, so that the go command knows what the outcome hangs on.
	for _, name := range []string{"SMOLVM_SIM_FAULTS", "SMOLVM_SIM_WORLD", "SMOLVM_AGENT_ROOTFS", "SMOLVM_LIB_DIR"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env, home
}

// runContract runs the table, and tells r, unless it is nil, which clause begins.
func runContract(t *testing.T, c *Client, name string, r *recorder) Version {
	v, err := c.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("smolvm %s", v)
	runClauses(t, contract{client: c, version: v, name: name}, clauses, r)
	return v
}

func runClauses(t *testing.T, c contract, list []clause, r *recorder) {
	for _, cl := range list {
		ok := t.Run(cl.name, func(t *testing.T) {
			c.T, c.dir = t, t.TempDir()
			r.begin(cl.name, c.dir)
			began := time.Now()
			err := cl.do(c)
			if !errors.Is(err, cl.want) || (err == nil) != (cl.want == nil) {
				t.Errorf("after %s: error %v, want %v", time.Since(began).Round(time.Millisecond), err, cl.want)
			}
		})
		if !ok {
			t.Fatalf("%q is what the rest stands on", cl.name)
		}
	}
}

func (c contract) exec(argv ...string) (Result, error) {
	return c.client.Exec(c.Context(), c.name, Command{Argv: argv, Timeout: time.Minute})
}

// expect runs argv and compares all that comes back.
func (c contract) expect(cmd Command, want Result) error {
	if cmd.Timeout == 0 {
		cmd.Timeout = time.Minute
	}
	got, err := c.client.Exec(c.Context(), c.name, cmd)
	if err != nil {
		return err
	}
	if got.ExitCode != want.ExitCode || string(got.Stdout) != string(want.Stdout) || string(got.Stderr) != string(want.Stderr) {
		return fmt.Errorf("%q: got %d %q %q, want %d %q %q", cmd.Argv, got.ExitCode, got.Stdout, got.Stderr, want.ExitCode, want.Stdout, want.Stderr)
	}
	return nil
}

func (c contract) expectState(want string) error {
	m, err := c.client.Status(c.Context(), c.name)
	if err == nil && (m.State != want || m.Running() != (want == StateRunning)) {
		err = fmt.Errorf("state %q, want %q", m.State, want)
	}
	return err
}

func (c contract) hostFile(text string) string {
	c.Helper()
	return hostFile(c.T, filepath.Join(c.dir, "file"), text, 0o644)
}

// parallel runs n commands at once.
func (c contract) parallel(n int) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			errs[i] = c.expect(Command{Argv: []string{"sh", "-c", "echo together"}}, Result{Stdout: []byte("together\n")})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// everyOption is all that the release takes without a pack or an image at hand.
func everyOption(v Version) CreateOptions {
	o := CreateOptions{CPUs: 1, MemoryMiB: 512, Network: policy, Env: []string{"A=two words"}, Workdir: "/tmp"}
	if v.has(labels) {
		o.Labels = map[string]string{"internal.bottle.test": "contract"}
	}
	return o
}

// listed reports whether List has the machine, and in which state.
func (c contract) listed(state string) error {
	list, err := c.client.List(c.Context())
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list, func(m Machine) bool { return m.Name == c.name })
	switch {
	case at < 0 && state != "":
		return fmt.Errorf("%q is not listed", c.name)
	case at >= 0 && list[at].State != state:
		return fmt.Errorf("%q is listed as %q, not %q", c.name, list[at].State, state)
	}
	return nil
}
