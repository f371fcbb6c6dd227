//go:build linux

package sim

import (
	"fmt"
	"slices"
	"strings"

	"bottle.internal/smolvm/sim/vnet"
)

// runShell is exec -it -- /bin/sh: it does not start the machine.
func runShell(s *session, g grammar, a arguments) (int, error) {
	a.values["interactive"], a.values["tty"] = []string{"true"}, []string{"true"}
	a.rest = []string{"/bin/sh"}
	return runExec(s, g, a)
}

// runUpdate changes a machine that is not running (smolvm v0.8.0 machine.rs).
func runUpdate(s *session, g grammar, a arguments) (int, error) {
	name := s.machineName(a, "")
	m, err := s.load(name)
	if err != nil {
		return 0, err
	}
	if state := m.state(); state != stateStopped && state != stateCreated {
		return 0, &failure{text: "invalid vm state: expected stopped, got " + strings.ToUpper(state[:1]) + state[1:]}
	}
	changed, done, err := updated(m.record, g, a)
	if err != nil {
		return 0, err
	}
	if len(done) == 0 {
		s.say("No changes specified for machine '%s'", name)
		return 0, nil
	}
	if err := s.store().update(name, func(r *record) { *r = changed }); err != nil {
		return 0, err
	}
	s.say("Updated machine '%s':", name)
	for _, line := range done {
		s.say("  %s", line)
	}
	return 0, nil
}

// updated applies the flags to a copy and says what they did.
func updated(r record, g grammar, a arguments) (record, []string, error) {
	var done []string
	note := func(format string, args ...any) { done = append(done, fmt.Sprintf(format, args...)) }
	if a.has("net") && a.has("no-net") {
		return r, nil, g.fail("the argument '--net' cannot be used with '--no-net'")
	}
	for _, n := range []struct {
		long, unit string
		field      *int
		grows      bool
	}{
		{"cpus", "", &r.CPUs, false}, {"mem", " MiB", &r.MemoryMiB, false},
		{"storage", " GiB", &r.StorageGB, true}, {"overlay", " GiB", &r.OverlayGB, true},
	} {
		v, err := count(g, a, n.long, *n.field)
		if err != nil {
			return r, nil, err
		}
		if n.grows && v < *n.field {
			return r, nil, configError("update machine", "--%s can only grow: %d GiB is less than %d GiB", n.long, v, *n.field)
		}
		if a.has(n.long) {
			*n.field = v
			note("%s: %d%s", n.long, v, n.unit)
		}
	}
	if a.has("net") || a.has("no-net") {
		r.Network = a.has("net")
		note("network: %t", r.Network)
	}
	if a.has("workdir") {
		r.Workdir = a.one("workdir", "")
		note("workdir: %s", r.Workdir)
	}
	if err := r.updatePlaces(g, a, note); err != nil {
		return r, nil, err
	}
	r.Env = merged(slices.Concat(r.Env, environment(a.all("env"))))
	for _, kv := range environment(a.all("env")) {
		note("env: %s", kv)
	}
	for _, key := range a.all("remove-env") {
		r.Env = slices.DeleteFunc(r.Env, func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
		note("removed env: %s", key)
	}
	return r, done, nil
}

// updatePlaces adds and removes volumes and ports; what is removed is named as it was given to create.
func (r *record) updatePlaces(g grammar, a arguments, note func(string, ...any)) error {
	added, err := volumes(a.all("volume"))
	if err != nil {
		return err
	}
	for _, spec := range a.all("remove-volume") { // its directory may be gone
		r.Volumes = slices.DeleteFunc(r.Volumes, func(v volume) bool {
			return v.Host+":"+v.Guest == spec || v.Host+":"+v.Guest+":ro" == spec
		})
		note("removed volume: %s", spec)
	}
	for i, v := range added {
		r.Volumes = append(r.Volumes, v)
		note("volume: %s", a.all("volume")[i])
	}
	closed, err := ports(g, a.all("remove-port"))
	if err != nil {
		return err
	}
	opened, err := ports(g, a.all("port"))
	if err != nil {
		return err
	}
	for _, p := range closed {
		r.Ports = slices.DeleteFunc(r.Ports, func(o vnet.Port) bool { return o == p })
		note("removed port: %d:%d", p.Host, p.Guest)
	}
	for _, p := range opened {
		if slices.ContainsFunc(r.Ports, func(o vnet.Port) bool { return o.Host == p.Host }) {
			return configError("update machine", "duplicate host port %d: each host port can only be mapped once", p.Host)
		}
		r.Ports = append(r.Ports, p)
		note("port: %d:%d", p.Host, p.Guest)
	}
	return nil
}
