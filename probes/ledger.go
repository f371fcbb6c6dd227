package probes

import (
	"context"
	"errors"
	"sync"
	"time"

	"bottle.internal/internal/echo"
)

// maxEntries bounds a ledger: a guest that reaches a canary can dial it as often as it likes.
const maxEntries = 20_000

// errOverflow makes a ledger that lost entries useless as a witness, rather than quietly incomplete.
var errOverflow = errors.New("probes: more connections than a canary can log")

// A Stranger is a connection to a canary that brought no nonce: nobody knows whose it was, but somebody got there.
type Stranger struct {
	Peer  string    `json:"peer"`
	Local string    `json:"local"`
	Time  time.Time `json:"time"`
}

// A ledger is what a listener of ours has seen. The zero ledger is empty; it is safe for concurrent use.
type ledger struct {
	mu        sync.Mutex
	visits    []*visit
	overflown bool
}

// A visit is one connection, from the moment it was accepted.
type visit struct {
	ledger *ledger
	known  bool // it brought no nonce, and what it was is known
	echo.Sighting
}

// enter logs a connection before anything was read from it.
func (l *ledger) enter(name, network, peer, local string) *visit {
	v := &visit{ledger: l, Sighting: echo.Sighting{Name: name, Network: network, Peer: peer, Local: local, Time: time.Now()}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.visits) >= maxEntries {
		l.overflown = true
		return v
	}
	l.visits = append(l.visits, v)
	return v
}

// saw logs that the connection brought n. It comes before the answer: whoever got a reply was seen.
func (v *visit) saw(n echo.Nonce) {
	v.ledger.mu.Lock()
	defer v.ledger.mu.Unlock()
	v.Nonce = n
}

// knew logs that the connection was one that brings no nonce.
func (v *visit) knew() {
	v.ledger.mu.Lock()
	defer v.ledger.mu.Unlock()
	v.known = true
}

// sawAs is saw for a message of the given form, which says more than what it came over if it is no echo.
func (v *visit) sawAs(form string, n echo.Nonce) {
	v.ledger.mu.Lock()
	defer v.ledger.mu.Unlock()
	v.Nonce = n
	if form != echoForm {
		v.Network = form
	}
}

// sightings are the nonces that arrived. What is known comes with an error, too: a log with gaps cannot show silence, and a nonce in
// it arrived all the same.
func (l *ledger) sightings(context.Context) ([]echo.Sighting, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []echo.Sighting
	for _, v := range l.visits {
		if v.Nonce != "" {
			all = append(all, v.Sighting)
		}
	}
	if l.overflown {
		return all, errOverflow
	}
	return all, nil
}

// strangers are the connections to local since then that brought no nonce; "" is to anywhere.
func (l *ledger) strangers(local string, since time.Time) []Stranger {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Stranger
	for _, v := range l.visits {
		if v.Nonce == "" && !v.known && (local == "" || v.Local == local) && !v.Time.Before(since) {
			all = append(all, Stranger{Peer: v.Peer, Local: v.Local, Time: v.Time})
		}
	}
	return all
}
