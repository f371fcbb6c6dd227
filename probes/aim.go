package probes

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// An aim is what one probe tries at one place: the recipe of its attempts, and the listener behind it.
type aim struct {
	network              agent.Network // "" is TCP of the address's family
	method               agent.Method
	addr, also           netip.AddrPort
	path                 string
	cid, vport, vportEnd uint32
	count                int
	send                 func(echo.Nonce) [][]byte // nil is echo's form
	budget               time.Duration             // 0 is the class's

	expect Expect // "" is Contain
	wall   wall
	post   *post  // nil if absent says why there is none
	absent string // why nothing of ours listens there
	gone   bool   // and that is because this host has no such address
	nobody bool   // nobody has this address: what refuses there is the sandbox itself
	// shows finds in an answer what only the host, or what only a guest without walls, can know; "" is nothing. nil looks for
	// the listener's proof alone.
	shows func(reply []byte) string
	// proves reports whether reply is an answer to sent that nobody but the listener can give; nil looks for echo's proof alone.
	proves func(sent [][]byte, reply []byte) bool
	// reads is what an answer that is not the listener's is read as, "" as any other; nil reads none.
	reads func(reply []byte) Observation
	// needs is what any guest's answer has in it: without it the look did not see what it was to see. "" needs nothing.
	needs string
	// asked is what a proxy is asked for, as its log would say it, where that holds neither the nonce nor the canary's address.
	asked string
	// early is an attempt of the batch's first phases, before those on the allowed destination.
	early bool
	// outside is where the host dials while the guest serves.
	outside []netip.AddrPort
	// home is where a guest that serves dials itself, selfDials times, after homeAfter; the zero AddrPort is nowhere. across is the peer
	// that listens there too; nil is none.
	home      netip.AddrPort
	homeAfter time.Duration
	across    *guestHost
	// proof tells the listener that the host looks for from others; the zero Secret looks for the guest's, which repeats the nonce.
	proof echo.Secret
}

// A class is how the attempts of an aim behave: what they cost and what a denial looks like.
type class string

const (
	streams   class = "streams"
	datagrams class = "datagrams"
	pings     class = "pings"
	local     class = "local" // unix, vsock and looks: no network is on the way
	served    class = "served"
)

func classOf(n agent.Network) class {
	switch n {
	case agent.UDP4, agent.UDP6:
		return datagrams
	case agent.ICMP4, agent.ICMP6:
		return pings
	case agent.Unix, agent.VSOCK, agent.Look:
		return local
	case agent.Serve:
		return served
	}
	return streams
}

// over is the network an aim uses.
func (a aim) over() agent.Network {
	switch {
	case a.network != "":
		return a.network
	case a.addr.Addr().Is6():
		return agent.TCP6
	}
	return agent.TCP4
}

func (a aim) class() class { return classOf(a.over()) }

// once reports whether an attempt is made in one round only: a look finds the same however often it looks, and the methods
// that take long repeat within themselves.
func (a aim) once() bool {
	c := a.class()
	return c == served || a.over() == agent.Look || a.method == agent.Sweep || a.method == agent.Race || a.disrupts()
}

// disrupts reports whether the attempt changes the guest's network, or fills a table, while it runs: it is made alone.
func (a aim) disrupts() bool {
	return slices.Contains([]agent.Method{agent.Route, agent.Source, agent.SelfConfig, agent.Exhaust, agent.Flood}, a.method)
}

// alone reports whether the attempt lacks the second address that its method has, which is the allowed destination.
func (a aim) alone() bool {
	return slices.Contains([]agent.Method{agent.SameSocket, agent.Batched, agent.Unspec, agent.Race, agent.Exhaust, agent.Route}, a.method) && !a.also.IsValid()
}

// disturbs reports whether the attempt changes more of a network than a guest's own flows, or sends to more than its address.
func (a aim) disturbs() bool {
	return slices.Contains([]agent.Method{agent.Route, agent.Source, agent.SelfConfig, agent.Link, agent.Multicast, agent.Broadcast}, a.method)
}

// lookBudget is what a look has at the least. It reads the guest's files and no answer is waited for: it ends when it is done, so that time
// costs nothing but on a disk or a host that is slow, where a look that is cut short says nothing.
const lookBudget = 5 * time.Second

// servingPatience is how much longer than Options.Serving a guest's listener may take as a whole: on a loaded host its own dial, which
// shows that it listens, comes late.
const servingPatience = 5

// time is the budget of one attempt.
func (a aim) time(o Options) time.Duration {
	switch {
	case a.budget > 0:
		return a.budget
	case a.class() == datagrams || a.class() == pings:
		return o.Silence
	case a.class() == served:
		return servingPatience * o.Serving
	case a.over() == agent.Look:
		return max(o.Budget, lookBudget)
	}
	return o.Budget
}

// attempt is the recipe carried out once, in phase.
func (a aim) attempt(phase int, budget time.Duration) agent.Attempt {
	t := agent.Attempt{
		Network: a.over(), Method: a.method, Addr: a.addr, Also: a.also, Path: a.path, CID: a.cid, VPort: a.vport,
		VPortTo: a.vportEnd, Count: a.count, Nonce: echo.NewNonce(), BudgetMS: max(1, int(budget.Milliseconds())), Phase: phase,
	}
	if a.class() == served && a.budget == 0 {
		t.ListenMS = max(1, t.BudgetMS/servingPatience)
	}
	if a.send != nil {
		t.Send = a.send(t.Nonce)
	}
	return t
}

// lacks is what is missing in an answer for it to count, "" if nothing is.
func (a aim) lacks(reply []byte) string {
	switch {
	case a.network == agent.Look && agent.Cut(a.method, reply):
		return "its end: there was more than the agent keeps, or has time for"
	case a.needs == "":
		return ""
	case !bytes.Contains(reply, []byte(a.needs)):
		return strconv.Quote(a.needs) + ", which any guest has"
	}
	return ""
}

// needing is a with an answer that must have text in it.
func (a aim) needing(text string) aim { a.needs = text; return a }

// where is the place in words.
func (a aim) where() string {
	switch {
	case a.path != "":
		return strings.TrimSpace(string(a.method) + " " + a.path)
	case a.addr.IsValid():
		return a.addr.String()
	}
	if a.over() == agent.VSOCK {
		return strings.TrimSpace(fmt.Sprintf("vsock %d:%d %s", a.cid, a.vport, a.method))
	}
	return string(a.over()) + " " + string(a.method)
}
