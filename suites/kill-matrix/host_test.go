package killmatrix_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// openHome gives this process a home that a guest which sees the host's files may read, with places for credentials in it and an
// agent that answers: behind the real home's mode a mount of the host's would show nothing. What the go command, the container engine
// and the simulator keep below the real home stays where it is.
func openHome() {
	GinkgoHelper()
	home, err := os.MkdirTemp("/tmp", "bottle-home-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, home)
	Expect(os.Chmod(home, 0o755)).To(Succeed()) //nolint:gosec // that is the point
	for _, dir := range []string{".ssh", ".aws", ".config"} {
		Expect(os.Mkdir(filepath.Join(home, dir), 0o755)).To(Succeed()) //nolint:gosec // that is the point
	}
	for name, value := range kept() {
		GinkgoT().Setenv(name, value)
	}
	GinkgoT().Setenv("HOME", home)
	GinkgoT().Setenv("SSH_AUTH_SOCK", keyAgent(filepath.Join(home, "agent.sock")))
}

// kept are the variables that say where things are which the home said before.
func kept() map[string]string {
	GinkgoHelper()
	real, err := os.UserHomeDir()
	Expect(err).NotTo(HaveOccurred())
	cache, err := os.UserCacheDir()
	Expect(err).NotTo(HaveOccurred())
	keep := map[string]string{
		"XDG_CACHE_HOME": cache, "XDG_DATA_HOME": filepath.Join(real, ".local", "share"), "DOCKER_CONFIG": filepath.Join(real, ".docker"),
	}
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output() //nolint:gosec // fixed words
	Expect(err).NotTo(HaveOccurred())
	for i, value := range strings.Fields(string(out)) {
		keep[names[i]] = value
	}
	for name := range keep {
		if set, ok := os.LookupEnv(name); ok {
			keep[name] = set
		}
	}
	return keep
}

// keyAgent answers at a socket as an ssh agent without keys, and returns its path.
func keyAgent(path string) string {
	GinkgoHelper()
	l, err := net.Listen("unix", path)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(l.Close)
	Expect(os.Chmod(path, 0o777)).To(Succeed()) //nolint:gosec // that is the point
	go func() {
		for {
			c, err := l.Accept()
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
	return path
}
