package killing

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// OpenHome gives this process a home that a guest which sees the host's files may read, with places for credentials in it and an
// agent that answers: behind the real home's mode a mount of the host's would show nothing. What the go command, the container engine
// and the simulator keep below the real home stays where it is. set sets variables of the environment, and closing what comes back
// removes the home; the variables are the caller's to restore.
func OpenHome(ctx context.Context, set func(name, value string)) (io.Closer, error) {
	home, err := os.MkdirTemp("/tmp", "bottle-home-")
	if err != nil {
		return nil, err
	}
	h := &openHome{dir: home}
	err = os.Chmod(home, 0o755) //nolint:gosec // that is the point
	for _, dir := range []string{".ssh", ".aws", ".config"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(home, dir), 0o755)) //nolint:gosec // that is the point
	}
	keep, keptErr := kept(ctx)
	err = errors.Join(err, keptErr, h.keyAgent(filepath.Join(home, "agent.sock")))
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	for name, value := range keep {
		set(name, value)
	}
	set("HOME", home)
	set("SSH_AUTH_SOCK", filepath.Join(home, "agent.sock"))
	return h, nil
}

// openHome is such a home.
type openHome struct {
	dir   string
	agent net.Listener // nil before it listens
}

func (h *openHome) Close() error {
	var err error
	if h.agent != nil {
		err = h.agent.Close()
	}
	return errors.Join(err, os.RemoveAll(h.dir))
}

// kept are the variables that say where things are which the home said before. Without the go command there is nothing of its to keep.
func kept(ctx context.Context) (map[string]string, error) {
	real, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	keep := map[string]string{
		"XDG_CACHE_HOME": cache, "XDG_DATA_HOME": filepath.Join(real, ".local", "share"), "DOCKER_CONFIG": filepath.Join(real, ".docker"),
	}
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH"}
	out, err := exec.CommandContext(ctx, "go", append([]string{"env"}, names...)...).Output() //nolint:gosec // fixed words
	if err == nil {
		for i, value := range strings.Fields(string(out)) {
			keep[names[i]] = value
		}
	}
	for name := range keep {
		if set, ok := os.LookupEnv(name); ok {
			keep[name] = set
		}
	}
	return keep, nil
}

// keyAgent answers at a socket as an ssh agent without keys.
func (h *openHome) keyAgent(path string) error {
	var err error
	if h.agent, err = net.Listen("unix", path); err != nil {
		return err
	}
	go func() {
		for {
			c, err := h.agent.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if _, err := io.ReadFull(c, make([]byte, 5)); err == nil {
					_, _ = c.Write([]byte{0, 0, 0, 5, 12, 0, 0, 0, 0}) // SSH_AGENT_IDENTITIES_ANSWER, none
				}
			}()
		}
	}()
	return os.Chmod(path, 0o777) //nolint:gosec // that is the point
}
