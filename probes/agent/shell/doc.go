// Package shell makes a request's plain TCP attempts with what a guest happens to have: where no binary can be copied in, a POSIX shell
// still runs a script.
//
// It is weaker evidence than the agent's. The script dials with the first of python3, perl, nc, busybox, bash, curl and wget that is there,
// one attempt after the other; it reads a tool's words where the agent has the kernel's errno, knows times to the second, cannot tell
// which of two silences it met with some tools, checks neither itself nor the guest's listeners, and makes nothing but plain IPv4
// streams. Self.Notes says so, and by which tool. What a canary saw is worth as much as ever.
package shell
