package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"bottle.internal/internal/echo"
)

// defaultDial bounds one echo of the dial subcommand.
const defaultDial = 2 * time.Second

// dial is `bottle-bundle dial [--timeout D] ADDR NONCE [ADDR NONCE]...`: it prints the answers, one line each, in this order.
func dial(ctx context.Context, args []string, stdout io.Writer) error {
	flags := newFlags("dial")
	timeout := flags.Duration("timeout", defaultDial, "bound of the whole exchange")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	calls, err := parseCalls(flags.Args())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	var errs []error
	for _, c := range calls {
		r, err := echo.Ask(ctx, c.addr, c.nonce)
		if err == nil {
			_, err = stdout.Write(echo.Line(r))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("dial: %w", err))
		}
	}
	return errors.Join(errs...)
}

// A call is one echo to ask for.
type call struct {
	addr  netip.AddrPort
	nonce echo.Nonce
}

func parseCalls(args []string) ([]call, error) {
	if len(args) == 0 || len(args)%2 != 0 {
		return nil, usagef("dial takes pairs of ADDR and NONCE, got %q", args)
	}
	var out []call
	for pair := range slices.Chunk(args, 2) {
		addr, err := netip.ParseAddrPort(pair[0])
		if err != nil {
			return nil, usagef("dial: %q is not ip:port", pair[0])
		}
		n := echo.Nonce(pair[1])
		if !n.Valid() {
			return nil, usagef("dial: %q is not a nonce of 32 hex digits", pair[1])
		}
		out = append(out, call{addr, n})
	}
	return out, nil
}

func newFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard) // the error says it
	return f
}

// parseFlags reads args; what is left of them is flags' Args.
func parseFlags(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usagef("%s: %v", f.Name(), err)
	}
	return nil
}

// noArgs is parseFlags for a subcommand without positional arguments.
func noArgs(f *flag.FlagSet, args []string) error {
	if err := parseFlags(f, args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return usagef("%s takes no arguments, got %q", f.Name(), f.Args())
	}
	return nil
}
