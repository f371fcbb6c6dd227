package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"bottle.internal/bundle/internal/wire"
)

// Exit codes: a wrong setting is told apart from something that failed.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks what the caller has to change; Main turns it into exit code 2.
var errUsage = errors.New("usage")

func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// Main runs the bottle-bundle command with args (without the program's name) and returns its exit code: 0 done, 1 failed,
// 2 bad arguments or settings, refused before anything was started. SIGTERM and SIGINT end whatever runs.
func Main(args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := dispatch(ctx, args, getenv, stdin, stdout)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "bottle-bundle:", strings.TrimPrefix(err.Error(), errUsage.Error()+": "))
		return exitUsage
	}
	fmt.Fprintln(stderr, "bottle-bundle:", err)
	return exitFailed
}

func dispatch(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 {
		return pid1(ctx, getenv, stdout)
	}
	switch name, rest := args[0], args[1:]; name {
	case "daemon":
		return runDaemon(ctx, rest, getenv, stdout)
	case "listeners":
		return printListeners(rest, stdout)
	case "dial":
		return dial(ctx, rest, stdout)
	case "canary":
		return canary(ctx, rest, getenv, stdin, stdout)
	case "confinement":
		return printConfinement(rest, stdout)
	case "start":
		return startDetached(ctx, rest, stdout)
	default:
		return usagef("unknown subcommand %q (known: daemon, listeners, confinement, dial, canary, start; none = PID 1)", name)
	}
}

// pid1 is the container's entry point.
func pid1(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	s, err := ParseSettings(getenv)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the program to start daemons with: %w", err)
	}
	sup := Supervisor{Log: stdout, Secret: s.Secret}
	for _, name := range s.children() {
		sup.Daemons = append(sup.Daemons, Child{
			Name: name, Argv: []string{exe, "daemon", name}, Env: s.environ(name), Echo: s.listen(name), Beside: name == wire.Canary,
		})
	}
	return sup.Run(ctx)
}

// runDaemon is `bottle-bundle daemon NAME`.
func runDaemon(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	if len(args) != 1 {
		return usagef("daemon takes one name, got %q", args)
	}
	s, err := ParseSettings(getenv)
	if err != nil {
		return err
	}
	j := newJournal(stdout, args[0])
	switch args[0] {
	case wire.Proxy:
		return serve(ctx, s.ProxyListen, newProxy(s, j), j)
	case wire.Egress:
		return serve(ctx, s.EgressListen, newEgress(s, j), j)
	case wire.Canary:
		return keepCanary(ctx, s, j)
	}
	return unknownDaemon(args[0])
}
