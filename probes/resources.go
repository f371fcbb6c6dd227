package probes

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"bottle.internal/probes/agent"
)

const (
	boundControl = "The bounds are read and not pushed against: a number that a guest tells is its word. " + lookControl
	boundWhere   = "Everywhere but on the simulator, which bounds nothing. "
)

// resourceProbes are the probes of family res: how much of the host a guest can take.
var resourceProbes = []Probe{
	bound("res.memory", "mem_total ", "memory", "A guest without a bound on its memory takes the host down with it.", "Launch with --mem, or a memory limit of the container.",
		"n8n disk and memory quotas", "In a VM the bound is its memory.", strayMemory),
	bound("res.cpu", "cpus ", "processors", "A guest that has all of the host's processors for itself stops the host's own work, and measures it.", "Launch with --cpus, or a cpu limit of the container.",
		"n8n quotas", "In a VM the bound is its number of processors.", strayProcessors),
	bound("res.pids", "pids.max ", "processes", "A fork bomb in a namespace is one on the host.", "Set a limit of processes (pids.max).",
		"docker --pids-limit; CIS docker benchmark 5.28", "A VM has processes of its own: not applicable there.", strayPIDs),
	bound("res.disk", "disk_total ", "disk", "A guest that can fill the host's disk stops everything that writes there.", "Give the guest a file system of a size of its own.",
		"n8n disk quota", "A VM has disks of its own, whose size is their bound: not applicable there.", strayDisk),
}

// A hostSize is how much there is of the host.
type hostSize struct {
	memory, disk uint64 // bytes, 0 where it is not known
	cpus         int
}

func bound(id, needs, what, why, remedy, source, where string, shows func(Site, hostSize, []byte) string) Probe {
	return Probe{
		ID: id, Family: "res", Severity: Medium, Expect: Contain,
		What: "Read the bounds of the guest's " + what + ", and compare them with what the host has and with what is declared.", Why: why,
		Control: boundControl, Remedy: remedy, Source: source, Where: boundWhere + where,
		aims: func(r *rig) ([]aim, absence) { return r.boundAims(id, needs, shows) },
	}
}

func (r *rig) boundAims(id, needs string, shows func(Site, hostSize, []byte) string) ([]aim, absence) {
	if r.site.Simulated {
		return nil, absence{why: "the engine is a simulator, which bounds no resources of its guests"}
	}
	if r.site.ownKernel() && (id == "res.pids" || id == "res.disk") {
		return nil, absence{why: "a guest that is declared a VM has processes and disks of its own, which kernel.distinct tells from the host's"}
	}
	size := sizeOfHost()
	a := look(agent.Limits, "", func(reply []byte) string { return shows(r.site, size, reply) })
	return []aim{a.needing(needs)}, absence{}
}

// memorySlack is how much of a VM's memory its own kernel may leave out of the count, or round up.
const memorySlack = 16 << 20

func strayMemory(s Site, host hostSize, reply []byte) string {
	have, err := strconv.ParseUint(fact(reply, "mem_total"), 10, 64)
	if err != nil {
		return ""
	}
	// A VM's own groups are its own business.
	if limit, err := strconv.ParseUint(fact(reply, "memory.max"), 10, 64); err == nil && !s.ownKernel() {
		have = min(have, limit)
	}
	most := uint64(max(0, s.Declared.MemoryMiB)) << 20
	switch {
	case most > 0 && have > most+memorySlack:
		return fmt.Sprintf("the guest has %d MiB of memory, %d are declared", have>>20, s.Declared.MemoryMiB)
	case most == 0 && host.memory > 0 && have >= host.memory:
		return fmt.Sprintf("the guest has all of the host's %d MiB of memory and no bound below", host.memory>>20)
	}
	return ""
}

func strayProcessors(s Site, host hostSize, reply []byte) string {
	cpus, err := strconv.Atoi(fact(reply, "cpus"))
	if err != nil {
		return ""
	}
	have := float64(cpus)
	if share, ok := quotaShare(fact(reply, "cpu.max")); ok && !s.ownKernel() {
		have = min(have, share)
	}
	switch most := s.Declared.CPUs; {
	case most > 0 && math.Floor(have) > float64(most): // engines give parts of one, and what is declared has none
		return fmt.Sprintf("the guest has %.4g processors, %d are declared", have, most)
	case most == 0 && have >= float64(host.cpus) && !s.ownKernel():
		return fmt.Sprintf("the guest has all of the host's %d processors and no bound below", host.cpus)
	case most == 0 && have > float64(host.cpus):
		return fmt.Sprintf("the guest has %d processors, more than the host", cpus)
	}
	return ""
}

// quotaShare is how many processors a quota and its period are (cpu.max of cgroups(7)), false where there is none.
func quotaShare(bound string) (float64, bool) {
	quota, period, _ := strings.Cut(bound, " ")
	q, err := strconv.ParseUint(quota, 10, 64)
	p, errPeriod := strconv.ParseUint(period, 10, 64)
	return float64(q) / float64(p), err == nil && errPeriod == nil && p > 0
}

func strayPIDs(_ Site, _ hostSize, reply []byte) string {
	if isNumber(fact(reply, "pids.max")) {
		return ""
	}
	return "the guest has no bound of processes (pids.max)"
}

func strayDisk(_ Site, host hostSize, reply []byte) string {
	if total, err := strconv.ParseUint(fact(reply, "disk_total"), 10, 64); err == nil && host.disk > 0 && total == host.disk {
		return fmt.Sprintf("the guest's root has the size of the host's to the byte (%d): it is the host's file system, without a bound", total)
	}
	return ""
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}
