// Package shell makes a request's plain TCP attempts with what a guest happens to have: where no binary can be copied in, a POSIX shell
// still runs a script. Through is the way in for package probes.
//
// It is weaker evidence than the agent's. The script dials with the first of python3, perl, bash, socat, nc (OpenBSD's, the traditional one, ncat),
// busybox, curl and wget that brings the answer of the batch's first destination back, one attempt after the other; a tool that cannot do that is
// not asked for anything, since its own failure would read as a denial. The script reads a tool's words where the agent has the kernel's errno, knows
// times to the second, cannot tell with some tools which of two silences it met, does not look for the guest's own listeners, and makes nothing but
// plain IPv4 streams. Self.Weak says so, and by which tool. What a canary saw is worth as much as ever.
package shell
