//go:build linux

package sim

import (
	"bufio"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// In a machine of an image, commands run in a container: as the image's user, in its directory and with its environment, and
// crun's words for what cannot be started.

// containerHostname is every container's (smolvm v0.8.0).
const containerHostname = "container"

// containerFiles is a container's limit on open files.
const containerFiles = 1024

// containerDrain is how long the output of a container's command that ended may stay open.
const containerDrain = 5 * time.Second

// enter adds to an exec what the machine's image says. The request has the command line's own already.
func (s *session) enter(req *request, r record) {
	req.Env = slices.Concat(r.imageEnv(), r.Env, req.Env)
	if req.Dir == "" {
		req.Dir = r.imageDir()
	}
	if !r.contained() {
		return
	}
	req.Contained = true
	req.Alone = !s.KeepAlive && !req.Detach
	if r.Content != nil && (!s.ExecIgnoresUser || req.Stdin || req.Stream) {
		req.User = r.Content.User
	}
}

// An identity is who a command runs as in the guest.
type identity struct {
	home       string
	credential *syscall.Credential // nil = guest root
}

// take makes the streams the user's own, so that he may open /dev/stdout again.
func (who identity) take(streams []int) {
	for _, fd := range streams {
		if c := who.credential; c != nil && fd >= 0 {
			_ = unix.Fchown(fd, int(c.Uid), int(c.Gid)) // of /dev/null it fails, and is not needed
		}
	}
}

// identify looks a user up as crun does: "name", "id", with ":group" or ":id" behind it, "" for root.
func identify(user string) (identity, error) {
	name, group, withGroup := strings.Cut(user, ":")
	if name == "" {
		name = "0"
	}
	who := identity{home: "/root"}
	uid, gid := -1, 0
	if n, err := strconv.Atoi(name); err == nil {
		uid = n
	}
	for _, f := range colonFile("/etc/passwd", 6) {
		if f[0] == name || f[2] == strconv.Itoa(uid) {
			uid, _ = strconv.Atoi(f[2])
			gid, _ = strconv.Atoi(f[3])
			name, who.home = f[0], f[5]
			break
		}
	}
	if uid < 0 {
		return who, fmt.Errorf("user `%s` not found in /etc/passwd", name)
	}
	if withGroup {
		var err error
		if gid, err = groupID(group); err != nil {
			return who, err
		}
	}
	if who.home == "" || uid != 0 && who.home == "/root" {
		who.home = "/"
	}
	if uid != 0 || gid != 0 {
		who.credential = credential(uid, gid, name, withGroup)
	}
	return who, nil
}

// credential is nil where the guest has root's id alone: then every user is root.
func credential(uid, gid int, name string, alone bool) *syscall.Credential {
	b, err := os.ReadFile("/proc/self/uid_map")
	var inside, outside, count int
	if _, scan := fmt.Sscan(string(b), &inside, &outside, &count); err != nil || scan != nil || uid >= count || gid >= count {
		log.Printf("user %d:%d does not exist in this guest: its commands run as root", uid, gid)
		return nil
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{uint32(gid)}} //nolint:gosec // below count
	if alone {
		return c
	}
	for _, f := range colonFile("/etc/group", 4) {
		id, err := strconv.ParseUint(f[2], 10, 16)
		if err == nil && slices.Contains(strings.Split(f[3], ","), name) && int(id) < count {
			c.Groups = append(c.Groups, uint32(id))
		}
	}
	return c
}

func groupID(group string) (int, error) {
	if n, err := strconv.Atoi(group); err == nil && n >= 0 {
		return n, nil
	}
	for _, f := range colonFile("/etc/group", 3) {
		if f[0] == group {
			return strconv.Atoi(f[2])
		}
	}
	return 0, fmt.Errorf("group `%s` not found in /etc/group", group)
}

// colonFile reads the lines of a passwd-like file that have at least so many fields. An absent file has none.
func colonFile(path string, fields int) [][]string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out [][]string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if parts := strings.Split(sc.Text(), ":"); len(parts) >= fields {
			out = append(out, parts)
		}
	}
	return out
}

// notStarted is what a failure to start a command is to the command line: the agent's own words in a bare guest, crun's in a
// container.
func notStarted(req request, err error) reply {
	if !req.Contained {
		return reply{Error: "failed to spawn command: " + rustText(err)}
	}
	name := req.Argv[0]
	_, missing := os.Stat(workingDirectory(req))
	switch {
	case missing != nil:
		return reply{Refused: fmt.Sprintf("crun: chdir to `%s`: %s", req.Dir, plainText(missing))}
	case errors.Is(err, syscall.ENOENT) && !strings.Contains(name, "/"):
		return reply{Refused: fmt.Sprintf("crun: executable file `%s` not found in $PATH: No such file or directory", name)}
	case errors.Is(err, syscall.ENOENT):
		return reply{Refused: fmt.Sprintf("crun: executable file `%s` not found: No such file or directory", name)}
	}
	return reply{Refused: fmt.Sprintf("crun: exec `%s`: %s", name, plainText(err))}
}

// plainText is an error as C's strerror spells it.
func plainText(err error) string {
	text, _, _ := strings.Cut(rustText(err), " (os error")
	return text
}

func workingDirectory(req request) string {
	if req.Dir == "" {
		return "/"
	}
	return filepath.Clean(req.Dir)
}
