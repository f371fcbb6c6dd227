package probes

import (
	"net/netip"
	"testing"
	"time"

	"bottle.internal/probes/agent"
)

// What ends when it is done has time to get there, whatever the budget of a dial; and a guest that serves listens for as long as the host was
// promised, from when it was heard to listen.
func TestTimeOfAnAttempt(t *testing.T) {
	o := Options{Budget: 10 * time.Millisecond, Serving: 100 * time.Millisecond}.withDefaults()
	if have := look(agent.Sockets, "", nil).time(o); have < lookBudget {
		t.Errorf("a look has %s", have)
	}
	if have := (aim{addr: loopback}).time(o); have != o.Budget {
		t.Errorf("a dial has %s", have)
	}
	serve := aim{network: agent.Serve, addr: netip.MustParseAddrPort("127.0.0.1:7")}
	if a := serve.attempt(0, serve.time(o)); a.Listen() != o.Serving || a.Budget() <= a.Listen() {
		t.Errorf("it listens for %s of %s", a.Listen(), a.Budget())
	}
	serve.budget = time.Second // a peer's, which is told when to end
	if a := serve.attempt(0, serve.time(o)); a.Listen() != a.Budget() {
		t.Errorf("a peer listens for %s of %s", a.Listen(), a.Budget())
	}
}
