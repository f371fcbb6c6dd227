//go:build linux

package sim

import (
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// initialize is the hidden command _init: pid 1 of a guest. It mounts what is the guest's own, gives up every capability the
// guest shall not have, and serves the command line until the supervisor's end of its channel closes.
func initialize() int {
	debug.SetGCPercent(50)
	control, err := connOf(os.NewFile(fdChannel, "channel"))
	if err != nil {
		return 1
	}
	// Whatever happens to the supervisor, a guest without one must not live on; the kernel kills the rest with pid 1.
	var config initConfig
	if _, err := receive(control, &config); err != nil {
		return 1
	}
	listener, err := listenerOf(os.NewFile(fdListener, "listener"))
	if err == nil {
		err = settle(config)
	}
	if err != nil {
		_ = send(control, reply{Error: err.Error()})
		return 1
	}
	a := newAgent(config, listener)
	if err := send(control, reply{}); err != nil {
		return 1
	}
	go a.accept()
	_, _ = control.Read(make([]byte, 1))
	return 0
}

// settle turns a process in new namespaces into pid 1 of a guest.
func settle(config initConfig) error {
	drainSignals()
	unix.Umask(0o022)
	// A core dump would go through the host's core_pattern.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("core limit: %w", err)
	}
	_, _ = unix.KeyctlJoinSessionKeyring("") // not every kernel has keys
	if err := unix.Sethostname([]byte(hostname(config.Hostname))); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := enterRoot(config.Contained); err != nil {
		return err
	}
	writeConfiguration(config)
	if config.Contained {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: containerFiles, Max: containerFiles}); err != nil {
			return fmt.Errorf("limit open files: %w", err)
		}
		_ = os.MkdirAll(config.Workdir, 0o755) //nolint:gosec // crun makes it, too
	}
	return confine()
}

// drainSignals receives the signals whose default would end or stop pid 1. Ignoring them would be inherited by every command.
func drainSignals() {
	c := make(chan os.Signal, 8)
	signal.Notify(c, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGALRM, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	go func() {
		for range c {
		}
	}()
}

// enterRoot makes stagingRoot the root, with file systems of the guest's own in it, and lets go of the host's.
func enterRoot(contained bool) error {
	own, err := ownFileSystems()
	if err != nil {
		return err
	}
	// A mount made by the helper is locked in this namespace and cannot become the root; a copy of it can.
	if err := unix.Mount(stagingRoot, stagingRoot, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return namespaceError(fmt.Errorf("bind the guest's root: %w", err))
	}
	if err := unix.Chdir(stagingRoot); err != nil {
		return fmt.Errorf("enter the guest's root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return namespaceError(fmt.Errorf("pivot_root: %w", err))
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the host's root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return own.mount(contained)
}

// hostname is the machine's name as far as the kernel takes it.
func hostname(machine string) string { return machine[:min(len(machine), 64)] }

// writeConfiguration writes what of /etc belongs to this boot, and what was never there. It runs as guest root in the guest's
// root; what the guest made impossible costs the guest that file.
func writeConfiguration(c initConfig) {
	host := hostname(c.Hostname)
	resolv := ""
	for _, n := range c.Nameservers {
		resolv += "nameserver " + n + "\n"
	}
	every := map[string]string{
		"/etc/hostname": host + "\n",
		"/etc/hosts":    "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.0.1 " + host + "\n",
	}
	if c.Network {
		every["/etc/resolv.conf"] = resolv
	}
	for path, text := range every {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // the guest's users read these
			log.Print(err)
		}
	}
	if c.Contained {
		return
	}
	for path, text := range onceFiles {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // the guest's users read these
		if err != nil {
			continue
		}
		_, _ = f.WriteString(text)
		_ = f.Close()
	}
	for path, target := range onceLinks {
		_ = os.Symlink(target, path)
	}
}

var onceFiles = map[string]string{
	"/etc/resolv.conf": "",
	"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nbin:x:2:2:bin:/bin:/usr/sbin/nologin\n" +
		"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	"/etc/group": "root:x:0:\ndaemon:x:1:\nbin:x:2:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\nstaff:x:50:\nusers:x:100:\n" +
		"nogroup:x:65534:\n",
	"/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n",
	"/etc/shells":        "/bin/sh\n/bin/bash\n",
}

var onceLinks = map[string]string{
	"/etc/os-release": "../usr/lib/os-release",
	"/etc/mtab":       "../proc/self/mounts",
	"/var/run":        "../run",
	"/var/lock":       "../run/lock",
}
