// Package daemon is what runs inside a bundle container: PID 1, the daemons it supervises, and the subcommands the host runs
// by exec because an image FROM scratch has nothing else.
//
//	bottle-bundle                      PID 1: start what BOTTLE_BUNDLE_DAEMONS names, supervise, end on SIGTERM
//	bottle-bundle daemon proxy|egress  one daemon, as PID 1 starts it
//	bottle-bundle listeners [-o json]  what listens where in this network namespace
//	bottle-bundle confinement          what keeps PID 1 in, as its kernel has it
//	bottle-bundle dial ADDR NONCE ...  dial canaries and print their answers; exit 0 only if each echoed its nonce
//	bottle-bundle canary [--listen A]  an echo listener until standard input ends
//
// Each daemon is a process of its own, so that the death of one is a real death and its environment holds only what it needs.
// The package logs to standard output, one line per event, never two events in a line: what a peer sent appears only inside
// JSON strings, so that no request can forge a log line.
package daemon
