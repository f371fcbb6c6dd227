// Package probes asks a sandbox whether it holds, and answers only with what can be shown.
//
// A probe dials something from inside, and a canary of ours at the other end says whether it arrived. The guest is not believed:
// it cannot claim to have reached a canary, since only the canary can prove a nonce, and it cannot claim not to have, since the
// canary logs every nonce before it answers. What the guest says of a failure, an errno and how far it got, is needed all the
// same, because silence alone is also what a broken prober gives. So a denial is Contained only if
//
//   - C0: the prober ran, and a nonce went round the guest's own loopback;
//   - C1: the listener was alive before and after, dialled from its own position;
//   - C2: the allowed destination proved a nonce before and after, in the same batch;
//   - the listener saw none of the probe's nonces, and its log is known to work since it shows the controls' own dials;
//   - every attempt ended as the backend's wall ends it, by the one table in accepted.go.
//
// One nonce in one log is a Leak, whatever else failed. Everything between is Inconclusive, naming the first control that was
// missing, and inconclusive is red. Denials are repeated and the worst counts; allowances are tried again and the best counts;
// a silence is looked at once more with three times the patience.
//
// C4 says who stopped it, where an errno that only the policy gives says so; C3 (a twin without the policy reaches the same
// canary) and C5 (the probe has turned a broken sandbox red) have their places and are not checked yet. Assurance counts what
// held, so that contained at L1 cannot be taken for contained at L4.
//
// Run takes a Site, which is all this package ever learns of a sandbox: a function that runs the agent inside it, the allowed
// destination, and how the sandbox could spell the host's loopback. The sources are laid out along the way of a run:
//
//	catalogue.go, tcp.go, proxy.go   the probes, a table of values; a new probe is a row and the aims it dials
//	rig.go, canary.go, world.go      what stands on the host's side: canaries, listeners of the site, the sink for the rest
//	plan.go                          one batch: allowed, denials round by round, second looks, allowed
//	run.go, attempt.go               the batch goes in, the answer is joined with what the listeners saw
//	judge.go, accepted.go, controls.go, reasons.go   a pure function of that
//	report.go, table.go              the answer
package probes
