//go:build linux

package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"bottle.internal/internal/owner"
	"bottle.internal/smolvm/sim/vnet"
)

// The hidden commands of the processes that make a machine. A supervisor is found in /proc by the first.
const (
	hiddenBoot   = "_boot-vm"
	hiddenHelper = "_helper"
	hiddenInit   = "_init"
	hiddenUsers  = "_users"
)

// The descriptors a supervisor is started with.
const (
	fdReady = 3 // pipe: one bootReport
	fdLock  = 4 // vm.lock, locked for as long as the supervisor lives
)

// readyTimeout is smolvm's, fixed in every release (manager.rs).
const readyTimeout = 30 * time.Second

// A bootConfig is all a supervisor knows: it has no environment, and no command line but the path of this.
type bootConfig struct {
	Machine     string       `json:"machine"`
	Release     string       `json:"release"`
	Dir         string       `json:"dir"`
	Faults      faults       `json:"faults,omitempty"`
	Network     *vnet.Config `json:"network,omitempty"` // nil = lo only
	Nameservers []string     `json:"nameservers,omitempty"`
	DenialLog   bool         `json:"denial_log,omitempty"`
	Root        rootConfig   `json:"root"`
	Leaked      []string     `json:"leaked,omitempty"`  // start's environment, for faultEnvironment
	Lingers     bool         `json:"lingers,omitempty"` // start does not end it when it gives it up
}

// A bootReport is what a supervisor says when its machine is up, or why it is not.
type bootReport struct {
	Owner owner.ID `json:"owner,omitempty"`
	Error string   `json:"error,omitempty"`
}

// bootConfig captures what the environment of start says about the machine's whole life.
func (s *session) bootConfig(m machine) (bootConfig, error) {
	c := bootConfig{Machine: m.Name, Release: s.Release.String(), Dir: m.dir, Faults: s.faults}
	c.Root, c.Lingers = s.rootConfig(m.record), !s.EndsFailedBoot
	if s.faults.has(faultEnvironment) {
		for _, key := range slices.Sorted(maps.Keys(s.env)) {
			c.Leaked = append(c.Leaked, key+"="+s.env[key])
		}
	}
	r := m.record
	others, err := s.shared(r)
	if err != nil {
		return c, err
	}
	r.Allow = append(append(slices.Clone(r.Allow), s.hostCIDRs(r)...), others...)
	network, err := s.network(r, s.env)
	if err != nil {
		return c, err
	}
	if network != nil && network.World != vnet.WorldNone && network.World != vnet.WorldOpen {
		if network.World, err = filepath.Abs(network.World); err != nil {
			return c, configError("SMOLVM_SIM_WORLD", "%w", err)
		}
	}
	if network != nil {
		s.faults.breakNetwork(network)
		s.faults.breakEmpty(network, r)
		s.faults.breakPack(network, r)
		s.faults.breakRestart(network, m.InitDone)
		c.DenialLog = s.DenialLog && network.Backend == vnet.VirtioNet
	}
	c.Nameservers = s.nameservers(network)
	if s.faults.has(faultNoNetwork) {
		network = nil
	}
	c.Network = network
	return c, nil
}

// boot starts the machine's supervisor and waits until its guest answers. lock is held; the supervisor keeps it.
func (s *session) boot(m machine, lock vmLock) (owner.ID, error) {
	config, err := s.bootConfig(m)
	if err != nil {
		return "", err
	}
	if err := m.writeBootFiles(config); err != nil {
		return "", agentError("start machine", "%w", err)
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return "", agentError("start machine", "%w", err)
	}
	defer ready.Close()
	cmd, err := m.spawn(theirs, lock)
	theirs.Close()
	if err != nil {
		return "", agentError("start machine", "%w", err)
	}
	report, err := awaitReady(ready)
	if err != nil {
		return "", agentError("start machine", "%w", s.giveUp(m, cmd, err))
	}
	if report.Error != "" {
		_ = cmd.Wait()
		return "", agentError("start machine", "%s", report.Error)
	}
	go func() { _ = cmd.Wait() }() // a server outlives the machines it starts: their supervisors must not stay zombies
	return report.Owner, nil
}

// giveUp ends a supervisor that has not said that its machine is up, and tells why. One that said nothing lives on below 1.5.0 (#583).
func (s *session) giveUp(m machine, cmd *exec.Cmd, why error) error {
	if errors.Is(why, errNotReady) && !s.EndsFailedBoot {
		go func() { _ = cmd.Wait() }()
		return why
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return m.startupError(why)
}

func (m machine) writeBootFiles(c bootConfig) error {
	_ = os.Remove(m.file(fileStartupError))
	if err := os.WriteFile(m.file(fileName), []byte(m.Name), 0o600); err != nil {
		return err
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(m.file(fileBoot), b, 0o600)
}

// spawn starts the supervisor: a session of its own, no environment, no descriptor but its two and the log.
func (m machine) spawn(ready *os.File, lock vmLock) (*exec.Cmd, error) {
	console, err := os.OpenFile(m.file(fileConsole), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	env, files := machineEnvironment(ready, lock.file)
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"smolvm-sim", hiddenBoot, m.file(fileBoot)},
		Env: env, Dir: "/", Stdout: console, Stderr: console,
		ExtraFiles:  files,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	return cmd, cmd.Start()
}

var errNotReady = errors.New("agent operation failed: wait for ready: agent did not become ready within 30 seconds")

func awaitReady(ready *os.File) (bootReport, error) {
	var report bootReport
	if err := ready.SetReadDeadline(time.Now().Add(readyTimeout)); err != nil {
		return report, err
	}
	err := json.NewDecoder(ready).Decode(&report)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return report, errNotReady
	}
	if err != nil {
		return report, fmt.Errorf("the boot process ended early: %w", err)
	}
	return report, nil
}

// startupError prefers what the supervisor wrote down over how its end looked from outside.
func (m machine) startupError(err error) error {
	if b, _ := os.ReadFile(m.file(fileStartupError)); len(b) > 0 {
		return errors.New(strings.TrimSpace(string(b)))
	}
	return err
}
