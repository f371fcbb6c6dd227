//go:build linux

package sim

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

var errHelp = errors.New("help asked for")

// A session is one invocation of the command line.
type session struct {
	features
	env    environ
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	dirs   directories
	faults faults
}

// environ is a process environment as a map; the last of two equal keys wins, as in execve's readers.
type environ map[string]string

func environOf(list []string) environ {
	e := environ{}
	for _, kv := range list {
		if k, v, ok := strings.Cut(kv, "="); ok {
			e[k] = v
		}
	}
	return e
}

// Main runs one command line and returns its exit code: args without the program's name, env as [os.Environ] gives it.
// The guest's exit code is passed through; otherwise 0 is success, 1 a runtime error and 2 a usage error.
func Main(args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &session{env: environOf(env), stdin: stdin, stdout: stdout, stderr: stderr}
	code, err := s.dispatch(args)
	var usage *usageError
	switch {
	case err == nil:
		return code
	case errors.As(err, &usage):
		fmt.Fprint(stderr, usage.print())
		return 2
	default:
		fmt.Fprintf(stderr, "Error: %v\n", err)
		return 1
	}
}

// configure reads what the environment says. It fails on a personality or a fault nobody knows, whatever the command: a
// typing error must not turn into a run that proves nothing.
func (s *session) configure() error {
	var err error
	if s.features, err = personality(s.env["SMOLVM_SIM_VERSION"]); err != nil {
		return err
	}
	if s.faults, err = parseFaults(s.env["SMOLVM_SIM_FAULTS"]); err != nil {
		return err
	}
	s.dirs, err = directoriesOf(s.features, s.env)
	return err
}

func (s *session) dispatch(args []string) (int, error) {
	if err := s.configure(); err != nil {
		return 0, err
	}
	top := grammar{path: "<COMMAND>"}
	if len(args) == 0 {
		fmt.Fprint(s.stderr, helpOf(s.features))
		return 2, nil
	}
	switch first := args[0]; {
	case first == "--version" || first == "-V":
		fmt.Fprintf(s.stdout, "smolvm %s (simulated)\n", s.Release)
		return 0, nil
	case first == "--help" || first == "-h" || first == "help":
		fmt.Fprint(s.stdout, helpOf(s.features))
		return 0, nil
	case first == "machine" || first == "vm":
		if len(args) > 1 && args[1] != "run" {
			s.sweepEphemeral()
		}
		return s.group("machine", subcommands(s.features), unsimulatedMachine, args[1:])
	case first == "pack":
		return s.group("pack", packSubcommands(s.features), unsimulatedPack, args[1:])
	case first == "serve":
		return s.serve(args[1:])
	case first == "_sweep":
		return s.sweep()
	case slices.Contains(unsimulatedPrograms, first):
		return 0, unsimulatedError("'smolvm " + first + "'")
	case strings.HasPrefix(first, "-"):
		return 0, top.fail("unexpected argument '%s' found", first)
	default:
		return 0, top.fail("unrecognized subcommand '%s'", first)
	}
}

// group runs a subcommand of "smolvm machine" or "smolvm pack".
func (s *session) group(name string, commands []subcommand, unsimulated map[string]release, args []string) (int, error) {
	top := grammar{path: name + " <COMMAND>"}
	if len(args) == 0 {
		fmt.Fprint(s.stderr, groupHelp(name, commands))
		return 2, nil
	}
	first := args[0]
	if first == "--help" || first == "-h" || first == "help" {
		fmt.Fprint(s.stdout, groupHelp(name, commands))
		return 0, nil
	}
	for _, c := range commands {
		if slices.Contains(c.names, first) {
			return s.subcommand(c, args[1:])
		}
	}
	since, refused := unsimulated[first]
	switch {
	case refused && s.Release.atLeast(since):
		return 0, unsimulatedError("'smolvm " + name + " " + first + "'")
	case strings.HasPrefix(first, "-"):
		return 0, top.fail("unexpected argument '%s' found", first)
	default:
		return 0, top.fail("unrecognized subcommand '%s'", first)
	}
}

func (s *session) subcommand(c subcommand, args []string) (int, error) {
	parsed, err := c.grammar.parse(args)
	if errors.Is(err, errHelp) {
		fmt.Fprint(s.stdout, subcommandHelp(c))
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return c.run(s, c.grammar, parsed)
}

// machineName is the name a command line gives, positional or as --name, or def.
func (s *session) machineName(a arguments, def string) string {
	if len(a.positional) > 0 && !s.NameFlag {
		return a.positional[0]
	}
	return a.one("name", def)
}

func (s *session) say(format string, args ...any)  { fmt.Fprintf(s.stdout, format+"\n", args...) }
func (s *session) note(format string, args ...any) { fmt.Fprintf(s.stderr, format+"\n", args...) }
