// Package agent is the guest's side of a probe: the wire between host and guest, what an attempt looks like from inside, and
// the program bottle-agent.
//
// One process takes one batch in and puts one batch out. It dials with raw system calls, so that an errno is the kernel's own
// and not a library's reading of it, each attempt on a socket of its own, at most MaxFlows at a time: smolvm's gateway drops
// SYNs without a word when its relay table is full (smolvm-network tcp_relay.rs MAX_CONNECTIONS), and a denial seen then would
// mean nothing.
//
// The agent observes and judges nothing. What it prints comes out of the guest and is untrusted: Request.Decode accepts a
// response only if it answers exactly what was asked, and Observe reads the evidence in it anew.
package agent
