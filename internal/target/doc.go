// Package target probes sandboxes that this kit did not make: a container, whatever can run a command, or the process's own surroundings.
//
// Three things have to be found out by trying: how the agent gets in and runs, over which address the sandbox reaches this host, and, where
// it reaches nothing, whether the host's kernel sees it without a network. What could not be found out is said in the report or in the error.
package target
