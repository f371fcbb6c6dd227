//go:build linux

package sim

import "slices"

// A subcommand of "smolvm machine".
type subcommand struct {
	names   []string // first the one in messages, then its aliases
	grammar grammar
	run     func(*session, grammar, arguments) (int, error)
}

// What exists in smolvm and not here is refused by name, at the top and under "machine".
var (
	unsimulatedPrograms = []string{"config"}
	unsimulatedMachine  = map[string]release{
		"monitor": {}, "resize": {}, "fork": {1, 0, 0}, // since
	}
)

// nameOption is NAME as an option. Create, delete and data-dir have it from 1.0.2 on.
func nameOption(short byte, required bool) option {
	return option{long: "name", short: short, value: "NAME", required: required}
}

// named gives g the machine's name in the form of the release: positional before 1.0.2, --name from there.
func named(f features, g grammar, metavar string) grammar {
	if !f.NameFlag {
		g.positionals = append([]string{metavar}, g.positionals...)
		return g
	}
	g.options = append([]option{nameOption('n', metavar[0] == '<')}, g.options...)
	return g
}

// subcommands are the machine subcommands of one release.
func subcommands(f features) []subcommand {
	create := named(f, grammar{path: "machine create", about: "Create a machine without starting it", options: createOptions}, "[NAME]")
	if f.Release.atLeast(release{1, 0, 0}) {
		create.last = "COMMAND"
	}
	list := []subcommand{
		{[]string{"create"}, create, runCreate},
		{[]string{"start"}, grammar{path: "machine start", about: "Start a machine", options: startOptions}, runStart},
		{[]string{"stop"}, grammar{path: "machine stop", about: "Stop a running machine", options: []option{nameOption('n', false)}}, runStop},
		{[]string{"delete", "rm"}, named(f, grammar{path: "machine delete", about: "Delete a machine", options: deleteOptions}, "<NAME>"), runDelete},
		{[]string{"exec"}, grammar{path: "machine exec", about: "Run a command in a running machine", options: execOptions, trailing: "COMMAND"}, runExec},
		{[]string{"cp"}, grammar{path: "machine cp", about: "Copy one file into or out of a machine", options: copyOptions, positionals: []string{"<SRC>", "<DST>"}}, runCopy},
		{[]string{"ls", "list"}, grammar{path: "machine ls", about: "List machines", options: listOptions}, runList},
		{[]string{"status"}, grammar{path: "machine status", about: "Show a machine's state", options: statusOptions}, runStatus},
		{[]string{"shell", "sh"}, grammar{path: "machine shell", about: "Open a shell in a running machine", options: []option{nameOption('n', false)}}, runShell},
		{[]string{"update"}, named(f, grammar{path: "machine update", about: "Change a stopped machine", options: updateOptions}, "<NAME>"), runUpdate},
		{[]string{"run"}, grammar{path: "machine run", about: "Run a command in an ephemeral machine", options: runOptions(), trailing: "[COMMAND]"}, runRun},
		{[]string{"images"}, grammar{path: "machine images", about: "List a machine's images", options: imagesOptions}, runImages},
		{[]string{"prune"}, grammar{path: "machine prune", about: "Remove the layers that no machine uses", options: pruneOptions}, runPrune},
		{[]string{"data-dir"}, named(f, grammar{path: "machine data-dir", about: "Print a machine's directory"}, "<NAME>"), runDataDir},
	}
	if f.DenialLog {
		list = append(list, subcommand{[]string{"egress-events"}, grammar{path: "machine egress-events", about: "Show what a machine's policy denied", options: statusOptions}, runEgressEvents})
	}
	for i := range list {
		list[i].grammar.options = optionsOf(f.Release, list[i].grammar.options)
	}
	return list
}

func optionsOf(r release, all []option) []option {
	var out []option
	for _, o := range all {
		if r.in(o.since, o.until) {
			out = append(out, o)
		}
	}
	return slices.Clip(out)
}

var createOptions = []option{
	{long: "cpus", value: "N"},
	{long: "mem", value: "MIB"},
	{long: "net"},
	{long: "net-backend", value: "BACKEND", choices: backends, hidden: true, until: release{1, 0, 2}},
	{long: "net-backend", value: "BACKEND", choices: backends, since: release{1, 0, 2}},
	{long: "allow-cidr", value: "CIDR", many: true},
	{long: "outbound-localhost-only"},
	{long: "env", short: 'e', value: "KEY=VALUE", many: true},
	{long: "workdir", short: 'w', value: "DIR"},
	{long: "label", value: "KEY=VALUE", many: true, since: release{1, 8, 0}},

	{long: "image", short: 'I', value: "IMAGE"},
	{long: "from", value: "PATH"},
	{long: "storage", value: "GIB"},
	{long: "overlay", value: "GIB"},
	{long: "volume", short: 'v', value: "HOST:GUEST", many: true},
	{long: "init", value: "COMMAND", many: true},

	{long: "port", short: 'p', value: "HOST:GUEST", many: true},
	{long: "allow-host", value: "HOST", many: true},
	{long: "ssh-agent", unsimulated: true},
	{long: "gpu", unsimulated: true},
	{long: "gpu-vram", value: "MIB", unsimulated: true},
	{long: "smolfile", short: 's', value: "PATH", unsimulated: true},
	{long: "secret-env", value: "SPEC", many: true, unsimulated: true, since: release{1, 0, 0}},
	{long: "secret-file", value: "SPEC", many: true, unsimulated: true, since: release{1, 0, 0}},
	{long: "max-image-size", value: "BYTES", unsimulated: true, since: release{1, 2, 0}},
	{long: "dns", value: "IP", unsimulated: true, since: release{1, 2, 5}},
	{long: "rosetta", unsimulated: true, since: release{1, 5, 0}},
	{long: "docker-socket", unsimulated: true, since: release{1, 6, 0}},
	{long: "expose-socket", value: "SPEC", many: true, unsimulated: true, since: release{1, 6, 4}},
	{long: "mount-socket", value: "SPEC", many: true, unsimulated: true, since: release{1, 6, 4}},
	{long: "cuda", unsimulated: true, since: release{1, 8, 0}},
	{long: "network", value: "NAME", unsimulated: true, since: release{1, 8, 3}},
}

var startOptions = []option{
	nameOption('n', false),
	{long: "proxy", value: "URL", unsimulated: true, since: release{0, 8, 1}},
	{long: "no-proxy", value: "HOSTS", unsimulated: true, since: release{0, 8, 1}},
	{long: "forkable", unsimulated: true, since: release{1, 0, 0}},
}

var deleteOptions = []option{
	{long: "force", short: 'f'},
	{long: "cascade", since: release{1, 7, 0}},
}

// updateOptions have no egress flag in any release to v1.9.3.
var updateOptions = []option{
	{long: "cpus", value: "N"},
	{long: "mem", value: "MIB"},
	{long: "net"},
	{long: "no-net"},
	{long: "env", short: 'e', value: "KEY=VALUE", many: true},
	{long: "remove-env", value: "KEY", many: true},
	{long: "workdir", short: 'w', value: "DIR"},
	{long: "storage", value: "GIB"},
	{long: "overlay", value: "GIB"},
	{long: "no-gpu"},
	{long: "gpu", unsimulated: true},
	{long: "volume", short: 'v', value: "HOST:GUEST", many: true},
	{long: "remove-volume", value: "HOST:GUEST", many: true},
	{long: "port", short: 'p', value: "HOST:GUEST", many: true},
	{long: "remove-port", value: "HOST:GUEST", many: true},
}

// execOptions: exec has --name and never -n.
var execOptions = []option{
	nameOption(0, false),
	{long: "workdir", short: 'w', value: "DIR"},
	{long: "env", short: 'e', value: "KEY=VALUE", many: true},
	{long: "timeout", value: "TIMEOUT"},
	{long: "interactive", short: 'i'},
	{long: "stream"},
	{long: "tty", short: 't'},
	{long: "secret-env", value: "SPEC", many: true, unsimulated: true, since: release{1, 0, 0}},
	{long: "secret-file", value: "SPEC", many: true, unsimulated: true, since: release{1, 0, 0}},
	{long: "detach", short: 'd', since: release{1, 3, 0}},
}

var copyOptions = []option{
	{long: "mode", value: "MODE", since: release{1, 9, 0}},
	{long: "uid", value: "UID", since: release{1, 9, 0}},
	{long: "gid", value: "GID", since: release{1, 9, 0}},
}

var listOptions = []option{{long: "verbose", short: 'v'}, {long: "json"}}

// runOptions are create's, with the command's own. A pack can be run from 1.0.2 on.
func runOptions() []option {
	out := []option{
		nameOption('n', false),
		{long: "detach", short: 'd'},
		{long: "interactive", short: 'i'},
		{long: "tty", short: 't', unsimulated: true},
		{long: "timeout", value: "TIMEOUT"},
		{long: "oci-cache", since: release{1, 7, 3}},
	}
	for _, o := range createOptions {
		if o.long == "from" {
			o.since = release{1, 0, 2}
		}
		out = append(out, o)
	}
	return out
}

var imagesOptions = []option{nameOption(0, true), {long: "json"}}

var pruneOptions = []option{nameOption(0, true), {long: "dry-run"}, {long: "all"}}

var statusOptions = []option{nameOption('n', false), {long: "json"}}
