//go:build linux

package sim

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
)

// unsimulatedPack exist in smolvm and not here.
var unsimulatedPack = map[string]release{"pull": {}, "push": {}}

// packSubcommands are the subcommands of "smolvm pack" in one release.
func packSubcommands(f features) []subcommand {
	list := []subcommand{
		{[]string{"create"}, grammar{path: "pack create", about: "Pack an image or a stopped machine into a file", options: packCreateOptions}, runPackCreate},
		{[]string{"run"}, grammar{path: "pack run", about: "Run a command in an ephemeral machine of a pack", options: packRunOptions, trailing: "[COMMAND]"}, runPackRun},
		{[]string{"inspect"}, grammar{path: "pack inspect", about: "Show what a registry knows of an image", options: []option{{long: "json"}}, positionals: []string{"<REFERENCE>"}}, runPackInspect},
		{[]string{"prune"}, grammar{path: "pack prune", about: "Remove the unpacked layers that no machine uses", options: packPruneOptions}, runPackPrune},
	}
	for i := range list {
		list[i].grammar.options = optionsOf(f.Release, list[i].grammar.options)
	}
	return list
}

var packCreateOptions = []option{
	{long: "image", short: 'I', value: "IMAGE"},
	{long: "from-vm", value: "NAME"},
	{long: "output", short: 'o', value: "PATH", required: true},
	{long: "cpus", value: "N"},
	{long: "mem", value: "MIB"},
	{long: "oci-platform", value: "OS/ARCH"},
	{long: "entrypoint", value: "COMMAND"},
	{long: "no-sign"},
	{long: "single-file", unsimulated: true},
	{long: "gpu", unsimulated: true},
	{long: "smolfile", short: 's', value: "PATH", unsimulated: true},
	{long: "proxy", value: "URL", unsimulated: true, since: release{0, 8, 1}},
	{long: "no-proxy", value: "HOSTS", unsimulated: true, since: release{0, 8, 1}},
	{long: "staging-dir", value: "DIR", unsimulated: true, since: release{1, 2, 0}},
	{long: "rebase-from-image", value: "IMAGE", unsimulated: true, since: release{1, 3, 4}},
}

// packRunOptions: there are no egress flags among them in any release.
var packRunOptions = []option{
	{long: "sidecar", value: "PATH", required: true},
	{long: "cpus", value: "N"},
	{long: "mem", value: "MIB"},
	{long: "net"},
	{long: "env", short: 'e', value: "KEY=VALUE", many: true},
	{long: "workdir", short: 'w', value: "DIR"},
	{long: "volume", short: 'v', value: "HOST:GUEST", many: true},
	{long: "timeout", value: "TIMEOUT"},
	{long: "interactive", short: 'i'},
	{long: "tty", short: 't', unsimulated: true},
	{long: "detach", short: 'd', unsimulated: true},
}

var packPruneOptions = []option{{long: "keep", value: "N"}, {long: "all"}, {long: "dry-run"}}

// runPackRun is machine run --from of the pack.
func runPackRun(s *session, g grammar, a arguments) (int, error) {
	a.values["from"] = a.all("sidecar")
	return runRun(s, g, a)
}

// runPackInspect shows what a registry says about an image; a file is no reference, in any release.
func runPackInspect(s *session, _ grammar, a arguments) (int, error) {
	ref := a.positional[0]
	if err := checkReference(ref); err != nil {
		return 0, configError("pack inspect", "%w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), pullTimeout)
	defer cancel()
	img, err := remoteImage(ctx, ref, "", func(netip.Addr) bool { return true })
	if err != nil {
		return 0, agentError("pack inspect", "%s: %w", ref, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return 0, agentError("pack inspect", "%s: %w", ref, err)
	}
	m, err := img.Manifest()
	if err != nil {
		return 0, agentError("pack inspect", "%s: %w", ref, err)
	}
	report := imageReport{Reference: ref, OS: config.OS, Architecture: config.Architecture, LayerCount: len(m.Layers)}
	if digest, err := img.Digest(); err == nil {
		report.Digest = digest.String()
	}
	for _, l := range m.Layers {
		report.Layers, report.Size = append(report.Layers, l.Digest.String()), report.Size+l.Size
	}
	if a.has("json") {
		return 0, s.sayJSON(report)
	}
	s.say("Reference: %s\nDigest: %s\nPlatform: %s/%s\nLayers: %d (%d bytes)", ref, report.Digest, report.OS, report.Architecture, report.LayerCount, report.Size)
	s.say("Command: %s", strings.Join(append(append([]string{}, config.Config.Entrypoint...), config.Config.Cmd...), " "))
	return 0, nil
}

// defaultKeep is how many packs a prune keeps.
const defaultKeep = 5

func runPackPrune(s *session, g grammar, a arguments) (int, error) {
	keep := defaultKeep
	if a.has("keep") {
		text := a.one("keep", "")
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return 0, g.invalid("keep", text, "invalid digit found in string")
		}
		keep = int(n)
	}
	if a.has("all") {
		keep = 0
	}
	return 0, s.prune(a.has("dry-run"), false, keep)
}
