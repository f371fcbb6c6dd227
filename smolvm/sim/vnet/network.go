//go:build linux

package vnet

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Network is the host's end of one guest's network. Safe for concurrent use.
type Network struct {
	cfg    Config
	dialer *dialer
	denied *denials
	stack  *stack.Stack
	link   *link
	served *served // nil on virtio-net
	ports  *published

	ctx     context.Context
	cancel  context.CancelFunc
	started time.Time
	silent  atomic.Bool   // see [Config.FailOpen]
	lapse   lapse         // see [Config.Lapse]
	flood   flood         // see [Config.FloodOpen]
	slots   chan struct{} // one for every live TCP flow
	busy    chan struct{} // one for every errand
	udp     datagrams

	learned learned

	mu     sync.Mutex
	closed bool
	open   map[io.Closer]struct{} // ended by Close
	work   sync.WaitGroup
	conns  []*netlinkConn
}

// Serve runs the host's end in the calling process, whose network namespace is
// the host's, on the descriptors that [Prepare] returned in the guest's. It owns
// them from the call on, error or not. Every denial it sees is a line to logf,
// which must be safe for concurrent use; nil is silent.
func Serve(cfg Config, files []*os.File, logf func(format string, args ...any)) (*Network, error) {
	return serve(&dialer{cfg: cfg}, files, logf)
}

func serve(d *dialer, files []*os.File, logf func(string, ...any)) (n *Network, err error) {
	defer closeFiles(files) // the network has duplicates
	if logf == nil {
		logf = func(string, ...any) {}
	}
	want := filesVirtioNet
	if d.cfg.Backend == TSI {
		want = filesTSI
	}
	if err := d.cfg.check(); err != nil {
		return nil, err
	}
	if len(files) != want {
		return nil, fmt.Errorf("vnet: backend %q takes %d descriptors, got %d", d.cfg.Backend, want, len(files))
	}
	n = &Network{
		cfg: d.cfg, dialer: d, denied: newDenials(logf),
		started: time.Now(), slots: make(chan struct{}, maxFlows), busy: make(chan struct{}, maxErrands), open: make(map[io.Closer]struct{}),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.ports = newPublished(n)
	n.udp.init(n)
	if err := n.start(files); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (n *Network) start(files []*os.File) (err error) {
	var lo *os.File
	if n.cfg.Backend == TSI {
		lo = files[fileLoopback]
		if err := n.openSockets(files); err != nil {
			return err
		}
	}
	if n.link, err = openLink(files[fileTUN], lo, n.accept); err != nil {
		return err
	}
	if err := n.startStack(); err != nil {
		return err
	}
	if n.served == nil {
		return n.ports.listenAll()
	}
	n.work.Go(func() { n.served.watch(n.ctx.Done()) })
	return nil
}

// openSockets takes over what the guest's own listeners are watched by.
func (n *Network) openSockets(files []*os.File) error {
	for _, f := range []*os.File{files[fileRoute], files[fileDiag]} {
		c, err := newNetlinkConn(f)
		if err != nil {
			return err
		}
		n.conns = append(n.conns, c)
	}
	n.served = newServed(n.conns[0], n.conns[1], n.cfg.Restrict, n.denied.logf)
	n.served.published = n.ports
	return nil
}

// accept decides which of the guest's packets the stack gets to see.
func (n *Network) accept(l *link, p packet) bool {
	n.Wake()
	if p.dst.IsMulticast() || p.dst.IsUnspecified() || p.dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	switch p.proto {
	case unix.IPPROTO_TCP:
		return n.cfg.Backend != TSI || !p.opensTCP() || n.acceptTSI(l, p)
	case unix.IPPROTO_UDP, unix.IPPROTO_FRAGMENT:
		return true
	default:
		if n.cfg.Backend != VirtioNet || !p.asksEcho() {
			return false
		}
		if p.dst == gatewayV4 || p.dst == gatewayV6 {
			return true
		}
		// A stack that takes every address for its own would answer every ping.
		n.relayEcho(l, p)
		return false
	}
}

// acceptTSI answers for what only the guest's kernel could: a connect to a
// listener of its own that has not been noticed yet goes back inside, and one
// that leads nowhere is ENETUNREACH.
func (n *Network) acceptTSI(l *link, p packet) bool {
	to := p.to()
	if loopbackOf(p.dst).Contains(p.dst) && n.served.claim(unix.IPPROTO_TCP, to) {
		l.turnBack(p.raw)
		return false
	}
	if !n.passes(to) {
		return true // for the stack to reset and to log
	}
	if _, err := n.dialer.route(to); err != nil {
		n.sendUnreachable(l, p)
		return false
	}
	return true
}

// sendUnreachable sends an ICMP error, and once more: the kernel only takes note
// of one that finds connect() still holding its socket, and would not look again
// before the SYN is due a second time.
func (n *Network) sendUnreachable(l *link, p packet) {
	b := unreachable(p)
	l.send(b)
	time.AfterFunc(2*time.Millisecond, func() { l.send(b) })
}

// Wake says that something begins to happen in the guest, an exec say: for two
// seconds a tsi guest's own listeners are looked for every 5 ms and not every
// 20. It is a hint, and does nothing on virtio-net.
func (n *Network) Wake() {
	if n.served != nil {
		n.served.sign()
	}
}

// maxErrands is how many questions and pings of a guest's are under way at a
// time. What comes beyond is lost.
const maxErrands = 64

// errand runs do beside the network, or not at all.
func (n *Network) errand(do func()) {
	select {
	case n.busy <- struct{}{}:
	default:
		return
	}
	if n.ctx.Err() != nil {
		<-n.busy
		return
	}
	n.work.Go(func() {
		defer func() { <-n.busy }()
		do()
	})
}

// hold makes Close close c too; release undoes that. A network that is closed
// already closes c at once.
func (n *Network) hold(c io.Closer) (release func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		c.Close()
		return func() {}
	}
	n.open[c] = struct{}{}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.open, c)
	}
}

// Close ends every flow and lets go of the guest's interface, which disappears.
// It returns when nothing of the network runs any more. A second call does nothing.
func (n *Network) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	for c := range n.open {
		c.Close()
	}
	n.mu.Unlock()
	n.cancel()
	if n.link != nil {
		n.link.Close()
		n.link.Wait()
	}
	if n.stack != nil {
		n.stack.Close()
	}
	n.work.Wait()
	if n.stack != nil {
		n.stack.Wait()
	}
	for _, c := range n.conns {
		c.Close()
	}
	return nil
}
