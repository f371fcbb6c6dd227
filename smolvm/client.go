package smolvm

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// A Client runs smolvm's command line. The zero Client runs "smolvm" from PATH. It may be used by several goroutines at once; its
// fields must not change while a call is under way, and Path not after the first one.
type Client struct {
	// Path is the program. "" is "smolvm"; a name without a slash is looked up on PATH. It is resolved once and made absolute.
	Path string
	// Env holds KEY=VALUE added last to the scrubbed environment that smolvm gets (see the package's documentation); it wins.
	// To keep smolvm's state apart set HOME, and with it SMOLVM_AGENT_ROOTFS.
	Env []string
	// Grace is how long an interrupted smolvm may take to end before it is killed; 0 is 10 s.
	Grace time.Duration
	// Logf is given one line per process run (what, exit code, how long) and one per repeated command; nil is silent. It is called
	// from the goroutine of the call. Values of guest variables are left out.
	Logf func(format string, args ...any)
	// Rewrite edits the arguments of every call before smolvm gets them; nil leaves them as they are. It is for a machine that is
	// broken on purpose, to see that somebody notices: the Client goes on to believe what it asked for.
	Rewrite func(args []string) []string

	// observe is told how each process ended, for the tests that record what smolvm says.
	observe func(call, outcome)

	mu       sync.Mutex
	path     string
	version  *Version
	machines map[string]*memory
}

const defaultGrace = 10 * time.Second

// How long smolvm may take, whatever the caller's context says. Generous: they end a hang, they do not measure.
const (
	versionLimit = 30 * time.Second
	queryLimit   = 2 * time.Minute  // every dead agent costs 3 s
	createLimit  = 15 * time.Minute // extracts a pack
	startLimit   = 15 * time.Minute // 30 s to boot, 600 s to pull an image in the guest
	stopLimit    = time.Minute      // 5 s to answer, 2 s to terminate
	deleteLimit  = 2 * time.Minute
	copyLimit    = 30 * time.Minute // 4 GiB at most
)

// Version asks smolvm for its release, once: after the first success it answers from memory.
func (c *Client) Version(ctx context.Context) (Version, error) {
	c.mu.Lock()
	known := c.version
	c.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	out, err := c.run(ctx, call{argv: versionArgs(), limit: versionLimit})
	if err != nil {
		return Version{}, err
	}
	v, err := ParseVersion(string(out.stdout))
	if err != nil {
		return Version{}, out.failure(fmt.Errorf("%w: it says %.80q when asked for its version", ErrUnsupported, out.stdout))
	}
	c.mu.Lock()
	c.version = &v
	c.mu.Unlock()
	return v, nil
}

// release is Version, and refuses the ones that nothing is known of.
func (c *Client) release(ctx context.Context) (Version, error) {
	v, err := c.Version(ctx)
	if err != nil {
		return Version{}, err
	}
	if !v.has(supported) {
		return Version{}, fmt.Errorf("%w: smolvm %s; %s is the oldest this client knows", ErrUnsupported, v, features[supported].since)
	}
	return v, nil
}

// program is the absolute path of Path. Links are left alone: smolvm looks for its parts beside the name it was started by.
func (c *Client) program() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path != "" {
		return c.path, nil
	}
	name := c.Path
	if name == "" {
		name = "smolvm"
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: looking for %q: %w", ErrNotInstalled, name, err)
	}
	if c.path, err = filepath.Abs(found); err != nil {
		return "", fmt.Errorf("%w: %q: %w", ErrNotInstalled, found, err)
	}
	return c.path, nil
}

func (c *Client) logf(format string, args ...any) {
	if c.Logf != nil {
		c.Logf(format, args...)
	}
}
