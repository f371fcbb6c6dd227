//go:build linux

package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"bottle.internal/internal/owner"
	"bottle.internal/smolvm/sim/vnet"
	"golang.org/x/sys/unix"
)

// The descriptors of a helper and of a pid 1.
const (
	fdChannel  = 3 // to the supervisor
	fdListener = 4 // the machine's agent.sock, listening
	fdInit     = 5 // of the helper: pid 1's end of its channel, passed on as fdChannel
)

// supervise is the hidden command _boot-vm: it boots one guest, carries its network, and ends with it.
func supervise(configPath string) int {
	debug.SetGCPercent(50) // an idle machine should cost little; the hot path copies bytes and allocates none
	b := &booter{ready: os.NewFile(fdReady, "ready")}
	err := b.load(configPath)
	if err == nil {
		err = b.boot()
	}
	if err != nil {
		b.cleanUp()
		log.Print(err)
		_ = os.WriteFile(filepath.Join(filepath.Dir(configPath), fileStartupError), []byte(err.Error()+"\n"), 0o600)
		_ = json.NewEncoder(b.ready).Encode(bootReport{Error: err.Error()})
		return 1
	}
	b.serve()
	b.cleanUp()
	return 0
}

// A booter is a supervisor's state.
type booter struct {
	bootConfig
	machine  machine
	ready    *os.File
	helper   *exec.Cmd
	control  *net.UnixConn // to pid 1; its end is the guest's end
	initPID  int
	network  *vnet.Network
	denials  *denialLog
	listener *os.File
}

func (b *booter) load(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &b.bootConfig); err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	b.machine = machine{record: record{Name: b.Machine}, dir: b.Dir}
	return preflight()
}

// A helperReport is what the helper says: first the network's descriptors, then pid 1's number.
type helperReport struct {
	Error string `json:"error,omitempty"`
	Init  int    `json:"init,omitempty"`
}

func (b *booter) boot() error {
	if b.Faults.has(faultStartFails) {
		return errors.New("kernel panic: SMOLVM_SIM_FAULTS=" + string(faultStartFails))
	}
	// What the helper leaves behind, pid 1, becomes this process's child.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	var err error
	if b.listener, err = b.machine.listen(); err != nil {
		return err
	}
	defer b.listener.Close()
	channel, err := b.startHelper()
	if err != nil {
		return err
	}
	defer channel.Close()
	files, err := b.fromHelper(channel, &helperReport{})
	if err != nil {
		return err
	}
	if err := b.startNetwork(files); err != nil {
		return err
	}
	var second helperReport
	if _, err := b.fromHelper(channel, &second); err != nil {
		return err
	}
	b.initPID = second.Init
	if err := b.helper.Wait(); err != nil {
		return fmt.Errorf("helper: %w", err)
	}
	return b.awaitInit()
}

// listen makes agent.sock. Its path goes through a descriptor, like dial's.
func (m machine) listen() (*os.File, error) {
	if err := os.Remove(m.file(fileSocket)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d, err := os.Open(m.dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	l, err := net.ListenUnix("unix", socketAddr(d))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	return l.File()
}

// startHelper starts the helper in the guest's network namespace and a mount namespace of its own.
func (b *booter) startHelper() (*net.UnixConn, error) {
	channel1, theirs, err := channel()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	control, initEnd, err := channel()
	if err != nil {
		channel1.Close()
		return nil, err
	}
	defer initEnd.Close()
	b.control = control
	env, files := machineEnvironment(theirs, b.listener, initEnd)
	b.helper = &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"smolvm-sim", hiddenHelper}, Env: env, Dir: b.Dir,
		Stdout: os.Stdout, Stderr: os.Stderr,
		ExtraFiles:  files,
		SysProcAttr: helperAttributes(),
	}
	if err := b.helper.Start(); err != nil {
		channel1.Close()
		return nil, namespaceError(err)
	}
	return channel1, send(channel1, b.bootConfig)
}

func (b *booter) fromHelper(channel *net.UnixConn, report *helperReport) ([]*os.File, error) {
	files, err := receive(channel, report)
	if err != nil {
		return nil, fmt.Errorf("helper: %w", err)
	}
	if report.Error != "" {
		closeAll(files)
		return nil, errors.New(report.Error)
	}
	return files, nil
}

func (b *booter) startNetwork(files []*os.File) error {
	if b.Network == nil {
		closeAll(files)
		return nil
	}
	if b.DenialLog {
		b.denials = openDenialLog(b.machine.file(fileDenials))
	}
	var err error
	b.network, err = vnet.Serve(*b.Network, files, func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		log.Print(line)
		b.denials.note(line)
	})
	return err
}

// An initConfig is what pid 1 is told.
type initConfig struct {
	Hostname    string   `json:"hostname"`
	Nameservers []string `json:"nameservers,omitempty"`
	Network     bool     `json:"network"`
	Faults      faults   `json:"faults,omitempty"`
	Leaked      []string `json:"leaked,omitempty"`
	Contained   bool     `json:"contained,omitempty"` // the root is an image's
	Workdir     string   `json:"workdir,omitempty"`   // of the image: made where it is missing
}

// awaitInit hands pid 1 its configuration and waits until it serves, then says so to the command that started us.
func (b *booter) awaitInit() error {
	config := initConfig{Hostname: b.Machine, Nameservers: b.Nameservers, Network: b.Network != nil, Faults: b.Faults, Leaked: b.Leaked}
	if b.Root.Contained {
		config.Hostname, config.Contained, config.Workdir = containerHostname, true, b.Root.Workdir
	}
	if b.Faults.has(faultHostname) {
		config.Hostname, _ = os.Hostname()
	}
	if err := send(b.control, config); err != nil {
		return err
	}
	if err := b.control.SetReadDeadline(time.Now().Add(readyTimeout)); err != nil {
		return err
	}
	var r reply
	if _, err := receive(b.control, &r); err != nil {
		return fmt.Errorf("pid 1 of the guest: %w", err)
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	if err := b.control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if b.Faults.has(faultStartHangs) {
		return b.hang()
	}
	self := owner.Self()
	if err := os.WriteFile(b.machine.file(filePID), []byte(string(self)+"\n"), 0o600); err != nil {
		return err
	}
	// A command that was killed while it waited has recorded nothing: a machine nobody knows of must not run.
	if err := json.NewEncoder(b.ready).Encode(bootReport{Owner: self}); err != nil {
		return fmt.Errorf("the command that started this machine is gone: %w", err)
	}
	return b.ready.Close()
}

// hang waits until the command that started this machine gives up. What nobody ends serves on, below 1.5.0.
func (b *booter) hang() error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(b.ready.Fd())}}, -1) // POLLERR when the reader is gone
	if b.Lingers {
		return b.ready.Close()
	}
	return fmt.Errorf("SMOLVM_SIM_FAULTS=%s: %w", faultStartHangs, err)
}

// serve lasts as long as the guest does, or until a signal.
func (b *booter) serve() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	gone := make(chan struct{})
	go func() {
		_, _ = b.control.Read(make([]byte, 1)) // pid 1 writes nothing more: this returns at its end
		close(gone)
	}()
	select {
	case <-gone:
	case sig := <-signals:
		log.Printf("%v: ending the guest", sig)
	}
}

// cleanUp ends what boot began, as far as it came, and removes the files of a running machine.
func (b *booter) cleanUp() {
	if b.control != nil {
		_ = b.control.Close()
	}
	if b.initPID != 0 {
		_ = syscall.Kill(b.initPID, syscall.SIGKILL)
		_, _ = syscall.Wait4(b.initPID, nil, 0, nil)
	} else if b.helper != nil && b.helper.Process != nil && b.helper.ProcessState == nil {
		_ = b.helper.Process.Kill()
		_ = b.helper.Wait()
	}
	if b.network != nil {
		_ = b.network.Close()
	}
	b.denials.close()
	if b.Dir != "" {
		_ = os.Remove(b.machine.file(fileSocket))
		_ = os.Remove(b.machine.file(filePID))
	}
}
