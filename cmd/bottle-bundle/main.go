// Command bottle-bundle is PID 1 of a bundle container, its daemons, and the few subcommands that run inside it.
package main

import (
	"os"

	"bottle.internal/bundle/daemon"
)

func main() {
	os.Exit(daemon.Main(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}
