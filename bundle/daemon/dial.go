package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"bottle.internal/internal/echo"
)

// defaultDial bounds one echo of the dial subcommand.
const defaultDial = 2 * time.Second

// askEcho dials addr over TCP and has n echoed. A reply to another nonce is echo.ErrForeign; whose reply it is, the holder of
// the secret decides.
func askEcho(ctx context.Context, addr netip.AddrPort, n echo.Nonce) (echo.Reply, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return echo.Reply{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	if _, err := c.Write(echo.Request(n)); err != nil {
		return echo.Reply{}, fmt.Errorf("asking %s for an echo: %w", addr, err)
	}
	b, err := io.ReadAll(io.LimitReader(c, echo.MaxReply))
	if err != nil && len(b) == 0 {
		return echo.Reply{}, fmt.Errorf("reading the echo of %s: %w", addr, err)
	}
	r, err := echo.ParseResponse(b)
	if err != nil {
		return echo.Reply{}, fmt.Errorf("%s: %w", addr, err)
	}
	if r.Nonce != n {
		return echo.Reply{}, fmt.Errorf("%s echoed another nonce: %w", addr, echo.ErrForeign)
	}
	return r, nil
}

// dial is `bottle-bundle dial [--timeout D] ADDR NONCE`.
func dial(ctx context.Context, args []string, stdout io.Writer) error {
	flags := newFlags("dial")
	timeout := flags.Duration("timeout", defaultDial, "bound of the whole exchange")
	if err := parseFlags(flags, args, 2); err != nil {
		return err
	}
	addr, err := netip.ParseAddrPort(flags.Arg(0))
	if err != nil {
		return usagef("dial: %q is not ip:port", flags.Arg(0))
	}
	n := echo.Nonce(flags.Arg(1))
	if !n.Valid() {
		return usagef("dial: %q is not a nonce of 32 hex digits", flags.Arg(1))
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	r, err := askEcho(ctx, addr, n)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	_, err = stdout.Write(echo.Line(r))
	return err
}

func newFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard) // the error says it
	return f
}

// parseFlags reads args and wants exactly n positional ones.
func parseFlags(f *flag.FlagSet, args []string, n int) error {
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usagef("%s: %v", f.Name(), err)
	}
	if f.NArg() != n {
		return usagef("%s takes %d arguments, got %q", f.Name(), n, f.Args())
	}
	return nil
}
