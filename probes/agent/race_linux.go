package agent

import (
	"errors"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// raceAgain is how many more rounds a race may have whose two threads did not run at the same time so far, as on a busy or single
	// processor.
	raceAgain = 16
	// raceShare is the part of the budget that a race has in which they did.
	raceShare = 5
)

// raceWait bounds one connect of a race: the next one may be faster, and a dropped SYN would eat the budget of all. A guest on a busy
// host takes that long to reach Also, which is no miss.
const raceWait = 400 * time.Millisecond

// A racer is an address in memory that changes while the kernel, or what watches over it, reads it. Family, port and IPv4 address are
// the first eight bytes of a sockaddr_in and are flipped in one store, so nobody reads one's address with the other's port.
type racer struct {
	addr *raceAddr
	stop atomic.Bool
	done chan struct{}
}

type raceAddr struct {
	word atomic.Uint64
	_    [8]byte
}

func startRace(one, other netip.AddrPort) *racer {
	r := &racer{addr: new(raceAddr), done: make(chan struct{})}
	words := [2]uint64{raceWord(one), raceWord(other)}
	r.addr.word.Store(words[0])
	if runtime.GOMAXPROCS(0) < 2 { // on one processor the two threads would take turns at system calls only
		runtime.GOMAXPROCS(2)
	}
	running := make(chan struct{})
	go func() {
		defer close(r.done)
		close(running)
		for i := 1; !r.stop.Load(); i++ {
			r.addr.word.Store(words[i&1])
			if i%1024 == 0 {
				runtime.Gosched()
			}
		}
	}()
	<-running
	return r
}

func (r *racer) end() {
	r.stop.Store(true)
	<-r.done
}

func raceWord(addr netip.AddrPort) uint64 {
	raw := rawInet4(addr)
	return *(*uint64)(unsafe.Pointer(&raw))
}

// race connects Count times or for a fifth of the budget to an address that flips between Also and Addr, and stops at the first echo. While
// the kernel has read one of the two only it goes on, for as long as the budget lasts.
//
// What makes it honest: the nonce is sent only after connect succeeded and the kernel says that the peer is Addr, so a canary at Addr
// that sees it was reached past a wall that had looked at Also; and if no connection at all came about to Also, the race was none.
// Without an echo the reply is the tally, see Tally.
func race(s *stream, a Attempt, r *Result) error {
	racing := startRace(a.Also, a.Addr)
	defer racing.end()
	r.Stage = StageConnect
	var tally Tally
	var last, lost error
	misses := 0
	rounds, enough := max(1, a.Count), s.start.Add(a.Budget()/raceShare)
	for i := 0; i < raceAgain*rounds && time.Now().Before(s.deadline); i++ {
		had := tally.Also > 0 && misses+tally.Addr > 0
		if had && (i >= rounds || time.Now().After(enough)) {
			break
		}
		one := s.part(earlier(time.Now().Add(raceWait), s.deadline))
		peer, err := one.raceOnce(racing.addr)
		switch {
		case err != nil:
			misses++
			last = err
		case peer == a.Also:
			tally.Also++
		case peer == a.Addr:
			tally.Addr++
			if lost = r.win(one, a); Observe(a, *r) == Reachable {
				one.close()
				return nil
			}
		}
		one.close()
	}
	switch {
	case tally.Addr > 0:
		last = lost
	case misses == 0: // the kernel never read Addr: nothing was tried
		r.Stage = StagePrepare
	}
	r.Reply = tally.text()
	return last
}

func (s *stream) raceOnce(addr *raceAddr) (netip.AddrPort, error) {
	if err := s.socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return netip.AddrPort{}, err
	}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(addr)), unix.SizeofSockaddrInet4)
	err := error(nil)
	if errno != 0 {
		err = errno
	}
	if errors.Is(err, unix.EINPROGRESS) {
		err = s.connected()
	}
	return s.peer(), err
}

// win has the nonce answered at Addr.
func (r *Result) win(s *stream, a Attempt) error {
	_ = r.decided(s, nil)
	return r.converse(s, a)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
