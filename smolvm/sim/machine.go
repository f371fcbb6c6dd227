//go:build linux

package sim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bottle.internal/internal/owner"
	"golang.org/x/sys/unix"
)

// The files of a machine's directory that both sides know; the names are smolvm's where it has them.
const (
	fileSocket       = "agent.sock"
	filePID          = "agent.pid"
	fileConsole      = "agent-console.log"
	fileStartupError = "agent-startup-error.log"
	fileBoot         = "boot-config.json"
	fileLock         = "vm.lock"
	fileTurn         = "start.lock"
	fileName         = "name"
	fileDenials      = "egress-denials.log"
	dirRoot          = "rootfs"
	dirUpper         = "usr.upper"
	dirWork          = "usr.work"
	dirRootWork      = "rootfs.work"
	dirLayers        = "l" // short: overlayfs takes few bytes of lower directories
)

// A machine is a record and its directory.
type machine struct {
	record
	dir      string
	detached bool // its command is not waited for when it starts: machine run -d
}

func (s *session) machineOf(r record) machine { return machine{record: r, dir: s.dirs.vm(r.Name)} }

// load returns the machine called name, or notFoundError.
func (s *session) load(name string) (machine, error) {
	r, err := s.store().load(name)
	return s.machineOf(r), err
}

func (m machine) file(name string) string { return filepath.Join(m.dir, name) }

// pingTimeout is how long a machine may take to answer that it lives (smolvm v0.8.0 state_probe.rs).
const pingTimeout = 3 * time.Second

// state is the real state: running is a live supervisor with a pid 1 that answers, unreachable one without.
func (m machine) state() string {
	switch {
	case m.State != stateRunning:
		return m.State
	case !owner.Alive(m.Owner):
		return stateStopped
	case m.ping() != nil:
		return stateUnreachable
	}
	return stateRunning
}

func (m machine) ping() error {
	conn, err := m.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(pingTimeout)); err != nil {
		return err
	}
	if err := send(conn, request{Op: opPing}); err != nil {
		return err
	}
	_, err = receive(conn, &reply{})
	return err
}

// dial connects to the machine's pid 1. The path goes through a descriptor of the directory: sun_path holds 108 bytes.
func (m machine) dial() (*net.UnixConn, error) {
	d, err := os.Open(m.dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return net.DialUnix("unix", nil, socketAddr(d))
}

func socketAddr(dir *os.File) *net.UnixAddr {
	return &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), fileSocket)}
}

// connect is dial for a command that needs the machine to run.
func (s *session) connect(name string) (machine, *net.UnixConn, error) {
	m, err := s.load(name)
	if err != nil {
		return m, nil, err
	}
	if m.State != stateRunning || !owner.Alive(m.Owner) {
		return m, nil, notRunningError(name)
	}
	conn, err := m.dial()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return m, nil, notRunningError(name)
	}
	if err != nil {
		return m, nil, agentError("connect", "%w", err)
	}
	return m, conn, nil
}

// The bounds of a stop: the agent's acknowledgement, then SIGTERM, then SIGKILL (smolvm v0.8.0 client.rs, manager.rs).
const (
	shutdownAck = 5 * time.Second
	killGrace   = 2 * time.Second
)

// halt ends the machine's processes and returns when they are gone.
func (m machine) halt() error {
	m.askToShutDown()
	pid := m.Owner.PID()
	for _, sig := range []syscall.Signal{0, syscall.SIGTERM, syscall.SIGKILL} {
		if sig != 0 && owner.Alive(m.Owner) {
			_ = syscall.Kill(pid, sig)
		}
		if awaitDeath(m.Owner, killGrace) {
			m.awaitUnlock(killGrace)
			return nil
		}
	}
	return agentError("stop machine", "process %d is still alive after SIGKILL", pid)
}

// askToShutDown tells pid 1 to end the guest. Without an answer the signals of halt follow.
func (m machine) askToShutDown() {
	conn, err := m.dial()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(shutdownAck))
	if send(conn, request{Op: opShutdown}) == nil {
		_, _ = receive(conn, &reply{}) // the end of the connection is an answer too
	}
}

// awaitUnlock waits until the dead supervisor's lock is free: a process counts as dead when its first thread is, and its
// descriptors are closed when its last is.
func (m machine) awaitUnlock(limit time.Duration) {
	lock, err := openLock(m.file(fileLock))
	if err != nil {
		return // deleted under it
	}
	defer lock.close()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if free, err := lock.try(); free || err != nil {
			return
		}
	}
}

func awaitDeath(id owner.ID, limit time.Duration) bool {
	for end := time.Now().Add(limit); owner.Alive(id); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// A supervisor is a _boot-vm process seen in /proc.
type supervisor struct {
	pid      int
	config   string // the boot-config.json it was started with
	orphaned bool   // its directory was deleted under it
}

// supervisors finds this user's supervisors below vms. What cannot be read is not ours.
func supervisors(vms string) []supervisor {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []supervisor
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "%d", &pid); err != nil {
			continue
		}
		b, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		argv := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
		if len(argv) != 3 || argv[1] != hiddenBoot || !strings.HasPrefix(argv[2], vms+"/") {
			continue
		}
		lock, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fdLock))
		out = append(out, supervisor{pid: pid, config: argv[2], orphaned: err == nil && strings.HasSuffix(lock, " (deleted)")})
	}
	return out
}

// kill ends a supervisor, and with it its guest: pid 1 dies when the supervisor's end of its channel closes.
func (sv supervisor) kill() {
	fd, err := unix.PidfdOpen(sv.pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != nil {
		return
	}
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(killGrace.Milliseconds()))
}
