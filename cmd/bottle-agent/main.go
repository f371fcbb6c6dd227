// Command bottle-agent runs inside a guest: it takes one batch of attempts as JSON, from the file named or from standard input,
// makes them, and prints what it saw as JSON. It judges nothing.
package main

import (
	"os"

	"bottle.internal/probes/agent"
)

func main() { os.Exit(agent.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
