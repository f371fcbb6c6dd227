//go:build linux

package sim

import "encoding/json"

// A field is one key of a machine's JSON object in status --json and ls --json.
type field struct {
	key   string
	since release
	value func(record, string) any // of the record and its real state
}

func constant(v any) func(record, string) any { return func(record, string) any { return v } }

// machineFields are the rows of the object (smolvm v0.8.0 vm_common.rs, v1.7.2 and v1.8.0 for what they added). smolvm's JSON
// maps are ordered by key, and so is Go's.
var machineFields = []field{
	{key: "name", value: func(r record, _ string) any { return r.Name }},
	{key: "state", value: func(_ record, state string) any { return state }},
	{key: "cpus", value: func(r record, _ string) any { return r.CPUs }},
	{key: "memory_mib", value: func(r record, _ string) any { return r.MemoryMiB }},
	{key: "pid", value: func(r record, _ string) any { return numberOrNull(r.PID) }},
	{key: "network", value: func(r record, _ string) any { return r.Network }},
	{key: "created_at", value: func(r record, _ string) any { return r.CreatedAt }},
	{key: "mounts", value: func(r record, _ string) any { return len(r.Volumes) }},
	{key: "ports", value: func(r record, _ string) any { return len(r.Ports) }},
	{key: "image", value: func(r record, _ string) any { return textOrNull(r.Image) }},
	{key: "entrypoint", value: func(r record, _ string) any {
		return listed(r.Entrypoint, r, func(c *content) []string { return c.Entrypoint })
	}},
	{key: "cmd", value: func(r record, _ string) any { return listed(r.Cmd, r, func(c *content) []string { return c.Cmd }) }},
	{key: "ephemeral", value: func(r record, _ string) any { return r.Ephemeral }},
	{key: "gpu", value: constant(false)},
	{key: "gpu_vram_mib", value: constant(nil)},
	{key: "storage_gb", value: func(r record, _ string) any { return numberOrNull(r.StorageGB) }},
	{key: "overlay_gb", value: func(r record, _ string) any { return numberOrNull(r.OverlayGB) }},
	{key: "restart_policy", value: constant("never")},
	{key: "restart_max_retries", value: constant(0)},
	{key: "restart_count", value: constant(0)},
	{key: "health_cmd", value: constant(nil)},
	{key: "health_interval_secs", value: constant(nil)},
	{key: "health_timeout_secs", value: constant(nil)},
	{key: "health_retries", value: constant(nil)},
	{key: "health_startup_grace_secs", value: constant(nil)},
	{key: "forkpoint_held", since: release{1, 7, 2}, value: constant(false)},
	{key: "cuda", since: release{1, 8, 0}, value: constant(false)},
	{key: "cuda_fork_pool_size", since: release{1, 8, 0}, value: constant(nil)},
	{key: "cuda_vram_limit_mib", since: release{1, 8, 0}, value: constant(nil)},
	{key: "forkable", since: release{1, 8, 0}, value: constant(false)},
	{key: "labels", since: release{1, 8, 0}, value: func(r record, _ string) any { return labelsOrEmpty(r.Labels) }},
}

func numberOrNull(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// listed is the entrypoint or the command as recorded: what create was given, or a pack's.
func listed(given []string, r record, of func(*content) []string) []string {
	if len(given) == 0 && r.Pack != "" && r.Content != nil {
		given = of(r.Content)
	}
	return append([]string{}, given...)
}

func labelsOrEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// report is the JSON object of one machine in this release.
func (f features) report(r record, state string) map[string]any {
	out := map[string]any{}
	for _, fl := range machineFields {
		if f.Release.atLeast(fl.since) {
			out[fl.key] = fl.value(r, state)
		}
	}
	return out
}

func (s *session) sayJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return configError("print JSON", "%w", err)
	}
	s.say("%s", b)
	return nil
}
