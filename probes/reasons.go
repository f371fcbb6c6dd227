package probes

import (
	"fmt"
	"time"
)

// explain says what it means that an attempt ended in a way that is no sign of the wall.
func (q question) explain(t trial, a Attempt) string {
	switch {
	case a.Forged:
		return "the guest has an answer in the canary's form without the canary's proof, and the canary saw nothing: the guest's word only"
	case a.Observation == Intercepted:
		return fmt.Sprintf("something answered that is not the canary (%s)", a.Reply)
	case a.Observation == Unsupported:
		return "the guest's kernel has no such socket, so nothing was tried"
	case a.Observation == Refused && t.nobody && q.simulated:
		return "a simulated engine without a world refuses there whatever the policy"
	case a.Observation == Refused && t.absent != "" && q.backend != TSI:
		return "so looks an address where nothing listens"
	case q.backend == TSI && t.wall == policyWall:
		return "on tsi the policy answers EACCES before anything is dialled; anything else means that the host acted, so the policy seems not to be in force"
	case q.backend == VirtioNet && a.Observation == Refused && t.wall == policyWall:
		return fmt.Sprintf("a denial comes within %s, this took %s", denialLimit, a.Elapsed().Round(time.Millisecond))
	case a.Observation == HandshakeOnly:
		return "a handshake without an answer is accepted only from a declared user-space gateway"
	case a.Observation == Filtered:
		return "silence is not how this backend denies, and it looks like packets being lost"
	}
	return fmt.Sprintf("that is not how a wall of backend %q looks", q.backend)
}

// unmade says why what is no agent did not make an attempt.
func (q question) unmade() string {
	if q.self.State != Held {
		return q.self.Text
	}
	return "this is no attempt that can be made " + q.weak + ", or it had no time left, or the tool did not run"
}

// silence says in words what the listener's silence rests on.
func (t trial) silence() string {
	switch {
	case t.wall == kernelWall && t.log.State != Held:
		return "that is the guest's word"
	case t.absent != "" || t.log.State != Held:
		return "nothing but the policy gives that"
	}
	return "the listener, alive before and after, saw nothing"
}

// claim is what the guest says of an attempt.
func (a Attempt) claim() string {
	if a.Fault != "" {
		return "nothing that counts"
	}
	if a.Errno != "" {
		return fmt.Sprintf("%s (%s)", a.Claimed, a.Errno)
	}
	return string(a.Claimed)
}
