// Command gate is what the mage targets run: it drives the kit's checks, tests and suites and ends with one line of counts.
//
// It is started by the targets of magefile.go, which are the index of what it can do.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
