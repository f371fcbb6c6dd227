package smolvm

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// How commands in one machine get along with each other.
//
// Below 1.4.1 each exec in an image machine rewrites one bundle that they share, and one can run another's command line (#199, #216).
// From 1.4.1 on they join a container that keeps running, whose making takes no lock: one command has to have made it before several may
// come. In a bare machine they never meet. The agent serves 8 connections at once, and status and cp need one too.

// maxCommands is how many commands of one Client run in one machine at once.
const maxCommands = 6

// primeTimeout bounds the command that makes an image machine's container.
const primeTimeout = time.Minute

// openFor bounds how long the making of a container may take, in a machine of which it is not known whether it has one.
const openFor = 3 * time.Second

// A memory is what a Client knows of a machine that it created, or of one that it has used.
type memory struct {
	made    bool // created here: what follows is known
	image   bool // has an image or is from a pack
	ports   bool // publishes some
	network Network
	how     Knowledge

	slots  chan struct{} // commands that run now
	first  chan struct{} // held by who primes
	primed bool          // since the last start
}

// machine is the memory of name, made when there is none.
func (c *Client) machine(name string) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.machines == nil {
		c.machines = map[string]*memory{}
	}
	m := c.machines[name]
	if m == nil {
		m = &memory{slots: make(chan struct{}, maxCommands), first: make(chan struct{}, 1)}
		c.machines[name] = m
	}
	return m
}

// remember notes what name was created with; forget that it was.
func (c *Client) remember(name string, o CreateOptions, how Knowledge) {
	c.forget(name)
	m := c.machine(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	m.made, m.image, m.ports = true, o.Image != "" || o.From != "", len(o.Ports) > 0
	m.network, m.how = o.Network, how
}

func (c *Client) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.machines, name)
}

// known is a copy of what is remembered of name.
func (c *Client) known(name string) memory {
	m := c.machine(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	return *m
}

// enter waits until a command with waiter may run in the machine, and returns what is to be called after it. A machine that was created
// elsewhere is taken for one with an image: that costs only time.
func (c *Client) enter(ctx context.Context, v Version, name, waiter string) (leave func(), err error) {
	m, opened := c.known(name), func() {}
	if !v.has(execJoins) && (m.image || !m.made) {
		key, err := c.stateKey(name)
		if err != nil {
			return nil, err
		}
		return takeTurn(ctx, "exec", key)
	}
	switch {
	case !v.has(execJoins):
	case m.image:
		err = c.prime(ctx, name, waiter, m.first)
	case !m.made:
		opened, err = c.open(ctx, name, m.first, openFor)
	}
	if err != nil {
		return nil, err
	}
	select {
	case m.slots <- struct{}{}:
		return func() { opened(); <-m.slots }, nil
	case <-ctx.Done():
		opened()
		return nil, fmt.Errorf("waiting for one of %d commands in %q: %w", maxCommands, name, over(ctx))
	}
}

// open has the first command after each start be alone in a machine that may have a container to make, until opened is called or for as long
// as that takes at most: no other command is run for it, since most such machines have none.
func (c *Client) open(ctx context.Context, name string, first chan struct{}, most time.Duration) (opened func(), err error) {
	if err := c.before(ctx, name, first); err != nil {
		return nil, err
	}
	if c.known(name).primed {
		<-first
		return func() {}, nil
	}
	opened = sync.OnceFunc(func() { c.setPrimed(name, true); <-first })
	time.AfterFunc(most, opened)
	return opened, nil
}

// before waits for its turn to be the machine's first command.
func (c *Client) before(ctx context.Context, name string, first chan struct{}) error {
	select {
	case first <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the first command in %q: %w", name, over(ctx))
	}
}

// prime has one command make the container that all others join. It is done once after each start; a failure is the caller's, and the
// next one tries again.
func (c *Client) prime(ctx context.Context, name, waiter string, first chan struct{}) error {
	if err := c.before(ctx, name, first); err != nil {
		return err
	}
	defer func() { <-first }()
	if c.known(name).primed {
		return nil
	}
	_, err := c.execOnce(ctx, name, Command{Argv: []string{"true"}, Timeout: primeTimeout, Waiter: waiter})
	if err == nil {
		c.setPrimed(name, true)
	}
	return err
}

func (c *Client) setPrimed(name string, primed bool) {
	m := c.machine(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	m.primed = primed
}
