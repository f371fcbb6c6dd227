// Package waiter runs one command and reports its end on standard error: a line with a nonce and the exit code, printed after the
// command has ended. It is what `sh -c` would do in the guest (smolvm's client has that as well), at the cost of a system call or
// two instead of a shell's start.
//
// A Go program needs a few milliseconds before its first line runs, more than most commands take. So start, in assembly, is made
// the entry point of the program (go build -ldflags=-E=bottle.internal/probes/agent/waiter.start): it does the work and ends
// the process without starting Go's runtime, and for every other command line it jumps to the runtime's own entry. Built without that
// flag the program does the same by Main.
package waiter
