package smolvm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

// One table of calls for three implementations: the fake, which so cannot drift from the others, and whatever $BOTTLE_SMOLVM names, the real
// smolvm or the simulator (with -count=1: the go command does not see that program change). There HOME is a directory of the test's
// own; a real smolvm needs SMOLVM_AGENT_ROOTFS in the environment where its rootfs is not the installed one.

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
	// script is what the fake answers, in order.
	script func(Version) []smolvmtest.Reply
}

func TestContractFake(t *testing.T) {
	for _, release := range []string{"0.8.0", "1.9.3"} {
		t.Run(release, func(t *testing.T) {
			v, err := ParseVersion(release)
			if err != nil {
				t.Fatal(err)
			}
			var replies []smolvmtest.Reply
			for _, c := range clauses {
				replies = append(replies, c.script(v)...)
			}
			c, _ := scripted(t, release, replies...)
			runContract(t, c, "m")
		})
	}
}

func TestContract(t *testing.T) {
	path := os.Getenv("BOTTLE_SMOLVM")
	if path == "" {
		t.Skip("BOTTLE_SMOLVM names no smolvm to run the contract against")
	}
	c := &Client{Path: path, Env: apartEnv(t), Logf: t.Logf}
	name := "bottle-contract-" + strings.ToLower(rand.Text()[:8])
	t.Cleanup(func() {
		if err := errors.Join(c.Stop(context.Background(), name), c.Delete(context.Background(), name)); err != nil {
			t.Error(err)
		}
	})
	runContract(t, c, name)
}

// apartEnv keeps the machines of the test apart from the user's. The directory's name is short: sockets live in it.
func apartEnv(t *testing.T) []string {
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
	env := []string{"HOME=" + home}
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
	for _, name := range []string{"SMOLVM_SIM_VERSION", "SMOLVM_SIM_FAULTS", "SMOLVM_SIM_WORLD", "SMOLVM_AGENT_ROOTFS", "SMOLVM_LIB_DIR"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func runContract(t *testing.T, c *Client, name string) {
	v, err := c.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("smolvm %s", v)
	for _, cl := range clauses {
		ok := t.Run(cl.name, func(t *testing.T) {
			began := time.Now()
			err := cl.do(contract{T: t, client: c, version: v, name: name, dir: t.TempDir()})
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
