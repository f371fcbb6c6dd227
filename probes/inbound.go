package probes

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"bottle.internal/internal/echo"
)

const (
	// visitPause is how long the host waits between two tries to come in.
	visitPause = 15 * time.Millisecond
	// visitDial bounds the handshake of one of them, which may go unanswered: two have to fit into the time that a guest listens.
	visitDial = 100 * time.Millisecond
	// visitAnswer bounds the answer to who is in: on a loaded host the guest's comes late, and it comes.
	visitAnswer = 2 * time.Second
)

// An intrusion is the host's try to come in at an address, repeated for as long as the guest's batch runs, since the host cannot
// know when exactly the guest listens.
type intrusion struct {
	at     netip.AddrPort
	proof  echo.Secret // of the listener that is looked for; zero is the guest's
	tries  int         // that came to their end while the batch ran
	since  time.Time   // when the last of these began; before the first, when the batch did
	gap    time.Duration
	inside string // how it came in, "" if it did not
	vague  string // something answered, and it is not the guest's listener
}

// note counts a try that began at start and has come to its end, the last one being the end of the batch. gap is the longest time from the
// beginning of one try to the end of the next: whoever listens for longer than that has had one that was all in his time.
func (in *intrusion) note(start time.Time) {
	in.gap = max(in.gap, time.Since(in.since))
	in.since = start
}

// visit runs do and, beside it, tries to come in wherever a guest serves. A try that the end of the batch cut short counts for
// nothing; the sidecar listens on, so one at its ports is always made.
func (b *batch) visit(ctx context.Context, do func()) {
	ctx, cancel := context.WithCancel(ctx)
	var visitors sync.WaitGroup
	b.intrusions = make(map[*trialPlan][]*intrusion)
	for _, t := range b.plan.trials {
		for _, at := range t.aim.outside {
			in := &intrusion{at: at, proof: t.aim.proof, since: time.Now()}
			b.intrusions[t] = append(b.intrusions[t], in)
			visitors.Go(func() { in.knock(ctx) })
		}
	}
	do()
	cancel()
	visitors.Wait()
}

func (in *intrusion) knock(ctx context.Context) {
	if in.proof != (echo.Secret{}) {
		in.try(context.WithoutCancel(ctx))
		in.tries++
	}
	for ctx.Err() == nil && in.inside == "" {
		start := time.Now()
		in.try(ctx)
		if ctx.Err() == nil {
			in.tries++
			in.note(start)
		}
		select {
		case <-ctx.Done():
		case <-time.After(visitPause):
		}
	}
	in.note(time.Now())
}

func (in *intrusion) try(ctx context.Context) {
	handshake, cancel := context.WithTimeout(ctx, visitDial)
	defer cancel()
	// From the very address: one that is this host's no longer, another sandbox's that has ended, would lead off this machine.
	d := nearby()
	d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(in.at.Addr(), 0))
	conn, err := d.DialContext(handshake, "tcp", in.at.String())
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(visitAnswer))
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })() // who was let in and not answered shows nothing good
	n := echo.NewNonce()
	if _, err := conn.Write(echo.Request(n)); err != nil {
		return
	}
	buf := make([]byte, echo.MaxReply)
	k, _ := conn.Read(buf)
	switch {
	case in.proof != (echo.Secret{}):
		if proves(in.proof, n, buf[:k]) {
			in.inside = fmt.Sprintf("the sidecar answered the host at %s with its proof", in.at)
		}
		return // anybody else may listen there
	case bytes.Contains(buf[:k], []byte(n)):
		in.inside = fmt.Sprintf("the host came in at %s: the guest's listener answered its nonce", in.at)
		return
	}
	in.vague = fmt.Sprintf("something takes connections at %s and does not answer", in.at)
}

// servingSelf is the mark of the guest's own dial in the report of what it served.
var servingSelf = []byte("self")

// serving fills in the trial of a guest that listened. The listener's life is shown by the guest's own dial of it, and the host's
// tries are the attempts that count.
func (b *batch) serving(t *trialPlan, tr *trial) {
	reply := b.answer.Results[t.shots[0].ID].Reply
	tr.before = failed("the guest's listener did not answer the guest itself")
	if bytes.Contains(reply, servingSelf) {
		tr.before = held("the guest's listener answered the guest itself")
	}
	tr.after = tr.before
	tries, widest := 0, time.Duration(0)
	var untried []string
	for _, in := range b.intrusions[t] {
		tries += in.tries
		if in.proof == (echo.Secret{}) && in.inside == "" {
			widest = max(widest, in.gap)
		}
		if in.tries == 0 && in.inside == "" {
			untried = append(untried, in.at.String())
		}
		if in.inside != "" && len(tr.attempts) > 0 {
			tr.attempts[0].Shown = in.inside
		}
		if in.vague != "" && in.inside == "" {
			tr.strangers = append(tr.strangers, Stranger{Peer: in.vague})
		}
	}
	tr.log = held("the host tried %d times at %d addresses, never more than %s from one try to the end of the next", tries, len(b.intrusions[t]), widest.Round(time.Millisecond))
	if listened := b.rig.opts.Serving; widest > listened {
		tr.log = failed("the host was held up: from one try to come in to the end of the next it took %s, and the guest listened for %s",
			widest.Round(time.Millisecond), listened)
	}
	if len(untried) > 0 {
		tr.log = failed("the guest's batch was over before the host had tried to come in at %s", strings.Join(untried, ", "))
	}
}
