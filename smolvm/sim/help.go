//go:build linux

package sim

import (
	"fmt"
	"strings"
)

const simulatorNotice = `This is smolvm-sim, a simulator of smolvm's command line. A machine is a set of Linux namespaces: it shares the
host's kernel and is NOT a security boundary.
`

func helpOf(f features) string {
	return fmt.Sprintf(`%s
Usage: smolvm <COMMAND>

Commands:
  machine  Manage machines [alias: vm]
  pack     Pack images and machines into files
  serve    Start the HTTP API server

Options:
  -h, --help     Print help
  -V, --version  Print version

Environment:
  SMOLVM_SIM_VERSION  release to imitate: %s (now %s)
  SMOLVM_SIM_FAULTS   defects to add, comma separated: %s
  SMOLVM_SIM_WORLD    where flows to other hosts go: a unix socket path, "open", or nothing (unreachable)
`, simulatorNotice, strings.Join(simulated, ", "), f.Release, strings.Join(knownFaults(), ", "))
}

func groupHelp(name string, commands []subcommand) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nUsage: smolvm %s <COMMAND>\n\nCommands:\n", simulatorNotice, name)
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-9s %s", c.names[0], c.grammar.about)
		if len(c.names) > 1 {
			fmt.Fprintf(&b, " [alias: %s]", strings.Join(c.names[1:], ", "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func subcommandHelp(c subcommand) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\nUsage: %s\n\nOptions:\n", simulatorNotice, c.grammar.about, c.grammar.usage())
	for _, o := range c.grammar.options {
		if o.hidden {
			continue
		}
		short := "    "
		if o.short != 0 {
			short = fmt.Sprintf("-%c, ", o.short)
		}
		fmt.Fprintf(&b, "  %s%s", short, o.shown())
		if o.unsimulated {
			b.WriteString("  (not simulated)")
		}
		b.WriteByte('\n')
	}
	b.WriteString("  -h, --help\n")
	return b.String()
}
