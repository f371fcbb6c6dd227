// Command release builds what is released of this kit: bottle-probe for each platform, with the agent and the bundle inside, checksums and
// bills of material. Everything is built twice, the second time from a copy of the sources and with an empty build cache, and has to be the
// same, byte for byte; then it is held to its budgets. It needs the go command and nothing else, and without git the version is not known.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, "dist", os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}
