//go:build !linux

// Command smolvm-sim is smolvm's command line on Linux namespaces: a double for tests, not a security boundary.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "smolvm-sim needs Linux: it makes machines of Linux namespaces. On this system use smolvm itself.")
	os.Exit(1)
}
