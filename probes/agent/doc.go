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
//
// # What the guest's word is worth
//
// A guest that wants to can make the agent say anything: it may replace the program, trace it, or answer in its place.
//
//   - That an attempt arrived it cannot make up: the proof in an echo takes a canary's secret, which no guest has. Nor can it hide
//     it: the canary, outside, wrote the nonce down.
//   - That an attempt was refused, was silent, or could not be made (StagePrepare, Unsupported) is its word. It counts only beside a
//     canary that was up and saw nothing, and a guest that made no attempt at all looks the same from there: what tells them apart is
//     that the allowed destination proved nonces of the same batch, and that the twin's agent, in a guest without a wall, arrived.
//   - What a look found is its word as well. A leak that it tells is believed if only the host can know what it told, such as a decoy's
//     content; that there is nothing is never more than its word.
//   - Times are its clock's. An address that it names as a peer is what its kernel says.
//   - A reply that is the agent's own text (Attempt.Reports) proves nothing by itself. What a race tallied says whether the race was one,
//     and what a listener of the guest's wrote down is worth what the host knows of its own nonces.
package agent
