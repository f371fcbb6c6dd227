//go:build linux

package sim

import (
	"fmt"
	"slices"
	"strings"
)

// An option is one flag of one subcommand, in the releases [since, until).
type option struct {
	long        string
	short       byte     // 0 = none
	value       string   // metavar; "" = a switch
	many        bool     // may be given more than once
	choices     []string // what the value can be; nil = the command checks it
	hidden      bool     // not in --help
	required    bool
	unsimulated bool // smolvm takes it, the simulator refuses it
	since       release
	until       release
}

// shown is how clap names the option in its messages.
func (o option) shown() string {
	if o.value == "" {
		return "--" + o.long
	}
	return fmt.Sprintf("--%s <%s>", o.long, o.value)
}

// A grammar is what one subcommand accepts.
type grammar struct {
	path        string // "machine create"
	about       string
	options     []option
	positionals []string // metavars; "[NAME]" is optional, "<NAME>" required
	trailing    string   // metavar of the guest argv that takes everything from the first positional on; "[…]" is optional, "" = none
	last        string   // metavar of what may follow "--"; "" = nothing may
}

// arguments are a parsed command line.
type arguments struct {
	values     map[string][]string // by long name
	positional []string
	rest       []string // guest argv, or what followed "--"
}

func (a arguments) has(long string) bool     { return len(a.values[long]) > 0 }
func (a arguments) all(long string) []string { return a.values[long] }

// one is the value of an option, or def when it was not given.
func (a arguments) one(long, def string) string {
	if v := a.values[long]; len(v) > 0 {
		return v[0]
	}
	return def
}

func (g grammar) usage() string {
	if strings.HasSuffix(g.path, "<COMMAND>") {
		return "smolvm " + g.path
	}
	s := "smolvm " + g.path + " [OPTIONS]"
	for _, o := range g.options {
		if o.required {
			s += " " + o.shown()
		}
	}
	for _, p := range g.positionals {
		s += " " + p
	}
	if g.argvRequired() {
		s += " <" + g.trailing + ">..."
	} else if g.trailing != "" {
		s += " " + g.trailing + "..."
	}
	if g.last != "" {
		s += " [-- <" + g.last + ">...]"
	}
	return s
}

func (g grammar) argvRequired() bool { return g.trailing != "" && g.trailing[0] != '[' }

func (g grammar) fail(format string, args ...any) error {
	return &usageError{text: fmt.Sprintf(format, args...), usage: g.usage()}
}

// invalid is clap's answer to a value that its parser refuses.
func (g grammar) invalid(long, value, format string, args ...any) error {
	why := ": " + fmt.Sprintf(format, args...)
	for _, o := range g.options {
		if o.long == long && len(o.choices) > 0 {
			why = "\n  [possible values: " + strings.Join(o.choices, ", ") + "]"
		}
		if o.long == long {
			return g.fail("invalid value '%s' for '%s'%s", value, o.shown(), why)
		}
	}
	return g.fail("invalid value '%s'%s", value, why)
}

// parse reads argv as clap would. A request for help is the error errHelp.
func (g grammar) parse(argv []string) (arguments, error) {
	p := &parser{grammar: g, out: arguments{values: map[string][]string{}}, argv: argv}
	if err := p.run(); err != nil {
		return arguments{}, err
	}
	return p.out, p.complete()
}

type parser struct {
	grammar
	out  arguments
	argv []string
}

func (p *parser) run() error {
	for len(p.argv) > 0 {
		arg := p.argv[0]
		p.argv = p.argv[1:]
		switch {
		case arg == "--":
			return p.afterDashes()
		case strings.HasPrefix(arg, "--"):
			if err := p.long(arg[2:]); err != nil {
				return err
			}
		case len(arg) > 1 && arg[0] == '-':
			if err := p.shorts(arg[1:]); err != nil {
				return err
			}
		case p.trailing != "":
			p.out.rest = append([]string{arg}, p.argv...)
			return nil
		default:
			if err := p.positional(arg); err != nil {
				return err
			}
		}
	}
	return nil
}

// afterDashes takes everything behind "--": the guest argv where there is one, else more positionals.
func (p *parser) afterDashes() error {
	if p.trailing != "" || p.last != "" {
		p.out.rest = p.argv
		return nil
	}
	for _, arg := range p.argv {
		if err := p.positional(arg); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) positional(arg string) error {
	if len(p.out.positional) == len(p.positionals) {
		return p.fail("unexpected argument '%s' found", arg)
	}
	p.out.positional = append(p.out.positional, arg)
	return nil
}

func (p *parser) long(arg string) error {
	name, value, given := strings.Cut(arg, "=")
	if name == "help" {
		return errHelp
	}
	for _, o := range p.options {
		if o.long == name {
			return p.take(o, value, given)
		}
	}
	return p.fail("unexpected argument '--%s' found", name)
}

// shorts reads a cluster: switches may be glued ("-it"), and the first option that takes a value takes the remainder.
func (p *parser) shorts(cluster string) error {
	for i := 0; i < len(cluster); i++ {
		if cluster[i] == 'h' {
			return errHelp
		}
		o, ok := p.byShort(cluster[i])
		if !ok {
			return p.fail("unexpected argument '-%c' found", cluster[i])
		}
		if o.value != "" {
			value := strings.TrimPrefix(cluster[i+1:], "=")
			return p.take(o, value, i+1 < len(cluster))
		}
		if err := p.take(o, "", false); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) byShort(c byte) (option, bool) {
	for _, o := range p.options {
		if o.short == c {
			return o, true
		}
	}
	return option{}, false
}

func (p *parser) take(o option, value string, given bool) error {
	if o.value == "" {
		if given {
			return p.fail("unexpected value '%s' for '--%s' found; no more were expected", value, o.long)
		}
		value = "true"
	} else if !given {
		if len(p.argv) == 0 || (len(p.argv[0]) > 1 && p.argv[0][0] == '-') {
			return p.fail("a value is required for '%s' but none was supplied", o.shown())
		}
		value, p.argv = p.argv[0], p.argv[1:]
	}
	if len(o.choices) > 0 && !slices.Contains(o.choices, value) {
		return p.invalid(o.long, value, "")
	}
	if !o.many && p.out.has(o.long) {
		return p.fail("the argument '%s' cannot be used multiple times", o.shown())
	}
	p.out.values[o.long] = append(p.out.values[o.long], value)
	return nil
}

// complete refuses a command line that lacks something, then one that asks for what cannot be simulated.
func (p *parser) complete() error {
	var missing []string
	for i, metavar := range p.positionals {
		if metavar[0] == '<' && i >= len(p.out.positional) {
			missing = append(missing, metavar)
		}
	}
	for _, o := range p.options {
		if o.required && !p.out.has(o.long) {
			missing = append(missing, o.shown())
		}
	}
	if p.argvRequired() && len(p.out.rest) == 0 {
		missing = append(missing, "<"+p.trailing+">...")
	}
	if len(missing) > 0 {
		return p.fail("the following required arguments were not provided:\n  %s", strings.Join(missing, "\n  "))
	}
	for _, o := range p.options {
		if o.unsimulated && p.out.has(o.long) {
			return unsimulatedError("--" + o.long)
		}
	}
	return nil
}
