//go:build linux

package sim

import "fmt"

func runStatus(s *session, _ grammar, a arguments) (int, error) {
	name := a.one("name", defaultName)
	m, err := s.load(name)
	if isNotFound(err, name) && a.has("json") {
		// A text of its own, unlike every other command's (smolvm v0.8.0 vm_common.rs).
		return 0, configError("machine status", "machine '%s' not found", name)
	}
	if err != nil {
		return 0, err
	}
	state := m.state()
	switch {
	case a.has("json"):
		return 0, s.sayJSON(s.report(m.record, state))
	case state == stateRunning:
		s.say("Machine '%s': running (PID: %d)", name, m.PID)
	case s.StatusPrintsState:
		s.say("Machine '%s': %s", name, state)
	default:
		s.say("Machine '%s': not running", name)
	}
	return 0, nil
}

func runList(s *session, _ grammar, a arguments) (int, error) {
	records, err := s.store().list()
	if err != nil {
		return 0, err
	}
	reports := []map[string]any{}
	for _, r := range records {
		reports = append(reports, s.report(r, s.machineOf(r).state()))
	}
	if a.has("json") && s.faults.has(faultListGarbage) {
		s.say(`[{"name": "m", "state": "runn`)
		return 0, nil
	}
	if a.has("json") {
		return 0, s.sayJSON(reports)
	}
	if len(reports) == 0 {
		s.say("No machines found")
		return 0, nil
	}
	s.say("%-20s %-12s %5s %12s %8s", "NAME", "STATE", "CPUS", "MEMORY", "PID")
	for _, r := range reports {
		pid := "-"
		if r["state"] == stateRunning {
			pid = fmt.Sprint(r["pid"])
		}
		s.say("%-20s %-12s %5v %8v MiB %8s", shortened(r["name"].(string)), r["state"], r["cpus"], r["memory_mib"], pid)
	}
	return 0, nil
}

// shortened cuts a name to the 18 characters of the table.
func shortened(name string) string {
	if len(name) > 18 {
		return name[:15] + "..."
	}
	return name
}
