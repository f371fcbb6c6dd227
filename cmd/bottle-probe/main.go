// Command bottle-probe answers, from a shell, whether a sandbox holds.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"bottle.internal/internal/probecli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := probecli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
