//go:build linux

package sim

import (
	"strconv"
	"time"
)

// The sizes of a machine whose command line names none (smolvm v0.8.0 machine.rs).
const (
	defaultCPUs      = 4
	defaultMemoryMiB = 8192
)

// runCreate writes a record, and unpacks a pack: a machine's disk is made and its image is pulled at its first start.
func runCreate(s *session, g grammar, a arguments) (int, error) {
	name := s.machineName(a, "")
	if name == "" {
		name = randomName()
	}
	r, err := s.create(name, g, a, nil)
	if err != nil {
		return 0, err
	}
	s.say("Created machine: %s", r.Name)
	s.say("  CPUs: %d, Memory: %d MiB", r.CPUs, r.MemoryMiB)
	if len(r.Volumes) > 0 {
		s.say("  Mounts: %d", len(r.Volumes))
	}
	if len(r.Ports) > 0 {
		s.say("  Ports: %d", len(r.Ports))
	}
	s.say("")
	s.say("Use 'smolvm machine start --name %s' to start the machine", r.Name)
	s.say("Then use 'smolvm machine exec --name %s -- <command>' to run commands", r.Name)
	return 0, nil
}

func newRecord(name string, g grammar, a arguments) (record, error) {
	r := record{
		Name: name, CreatedAt: time.Now().Unix(), State: stateCreated,
		CPUs: defaultCPUs, MemoryMiB: defaultMemoryMiB,
		Env: environment(a.all("env")), Workdir: a.one("workdir", ""),
		Cmd: a.rest, Network: a.has("net"), Backend: a.one("net-backend", ""),
	}
	if err := checkName(name); err != nil {
		return r, err
	}
	var err error
	if r.CPUs, err = count(g, a, "cpus", defaultCPUs); err != nil {
		return r, err
	}
	if r.MemoryMiB, err = count(g, a, "mem", defaultMemoryMiB); err != nil {
		return r, err
	}
	if r.StorageGB, err = count(g, a, "storage", 0); err != nil {
		return r, err
	}
	if r.OverlayGB, err = count(g, a, "overlay", 0); err != nil {
		return r, err
	}
	if r.Labels, err = labels(g, a.all("label")); err != nil {
		return r, err
	}
	if r.Ports, err = ports(g, a.all("port")); err != nil {
		return r, err
	}
	return r, r.setPolicy(a)
}

// setPolicy reads the egress flags, each of which turns the network on.
func (r *record) setPolicy(a arguments) error {
	if err := r.allow(a.all("allow-cidr")); err != nil {
		return err
	}
	if a.has("outbound-localhost-only") {
		r.Allow = append(r.Allow, "127.0.0.0/8", "::1/128")
	}
	var err error
	if r.Hosts, err = hostNames(a.all("allow-host")); err != nil {
		return err
	}
	if len(r.Allow)+len(r.Hosts) > 0 {
		r.Policy, r.Network = true, true
	}
	return nil
}

// allow adds to the allowlist.
func (r *record) allow(cidrs []string) error {
	for _, c := range cidrs {
		p, err := parseCIDR(c)
		if err != nil {
			return err
		}
		r.Allow = append(r.Allow, p.String())
	}
	return nil
}

// count reads a positive number, def where the option was not given.
func count(g grammar, a arguments, long string, def int) (int, error) {
	if !a.has(long) {
		return def, nil
	}
	text := a.one(long, "")
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, g.invalid(long, text, "invalid digit found in string")
	}
	if n == 0 {
		return 0, configError("create machine", "--%s must be at least 1", long)
	}
	return int(n), nil
}
