package agent

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

// What io_uring_enter(2) and io_uring_setup(2) name, as far as a connection needs it.
const (
	ringConnect    = 16 // IORING_OP_CONNECT
	ringSend       = 26 // IORING_OP_SEND
	ringRecv       = 27 // IORING_OP_RECV
	ringSingleMmap = 1  // IORING_FEAT_SINGLE_MMAP, of Linux 5.4
	ringOffSQEs    = 0x10000000
	ringRoom       = 16 << 10
)

// ringParams is struct io_uring_params.
type ringParams struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq                                                   struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// A ring does one operation at a time.
type ring struct {
	stream // its descriptor is readable when an operation has completed
	p      ringParams
	shared []byte // both queues
	sqes   []byte
	room   []byte // what operations read and write, at an address that Go does not reuse
	busy   bool   // an operation was begun that has not completed
}

func newRing(s *stream) (*ring, error) {
	r := &ring{stream: *s.part(s.deadline)}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&r.p)), 0)
	if errno != 0 {
		return r, errno
	}
	r.fd, r.open = int(fd), true
	if r.p.features&ringSingleMmap == 0 {
		return r, unix.ENOSYS
	}
	const both, kind = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	size := max(r.p.cq.cqes+r.p.cqEntries*16, r.p.sq.array+r.p.sqEntries*4)
	var err error
	if r.shared, err = unix.Mmap(r.fd, 0, int(size), both, kind); err != nil {
		return r, err
	}
	if r.sqes, err = unix.Mmap(r.fd, ringOffSQEs, int(r.p.sqEntries)*64, both, kind); err != nil {
		return r, err
	}
	r.room, err = unix.Mmap(-1, 0, ringRoom, both, unix.MAP_PRIVATE|unix.MAP_ANON)
	return r, err
}

// end gives the ring back, but not the memory that the kernel may still write to.
func (r *ring) end() {
	r.close()
	for _, m := range [][]byte{r.shared, r.sqes} {
		if m != nil {
			_ = unix.Munmap(m)
		}
	}
	if r.room != nil && !r.busy {
		_ = unix.Munmap(r.room)
	}
}

// do submits one operation on fd with the first size bytes of room and returns its result. offset is the length of a connect's address.
func (r *ring) do(op byte, fd int, size, offset, flags uint32) (int, error) {
	e := r.sqes[:64]
	clear(e)
	e[0] = op
	binary.NativeEndian.PutUint32(e[4:], uint32(fd))
	binary.NativeEndian.PutUint64(e[8:], uint64(offset))
	binary.NativeEndian.PutUint64(e[16:], uint64(uintptr(unsafe.Pointer(&r.room[0]))))
	binary.NativeEndian.PutUint32(e[24:], size)
	binary.NativeEndian.PutUint32(e[28:], flags)
	tail := r.word(r.p.sq.tail)
	r.word(r.p.sq.array + 4*(tail.Load()&r.word(r.p.sq.mask).Load())).Store(0)
	tail.Add(1)
	r.busy = true
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 0, 0, 0, 0); errno != 0 {
		return 0, errno
	}
	if err := r.wait(unix.POLLIN); err != nil {
		return 0, err
	}
	head := r.word(r.p.cq.head)
	at := r.p.cq.cqes + 16*(head.Load()&r.word(r.p.cq.mask).Load())
	res := int32(r.word(at + 8).Load())
	head.Add(1)
	r.busy = false
	if res < 0 {
		return 0, unix.Errno(-res)
	}
	return int(res), nil
}

func (r *ring) word(at uint32) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&r.shared[at])) }

// byRing connects, sends and receives by io_uring: no call of a socket's is made but the one that makes it. That one blocks, and the
// ring waits in its place. One message is sent; a tunnel is no ring's matter.
func byRing(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	ring, err := newRing(s)
	defer ring.end()
	if err != nil {
		return err
	}
	family, _ := sockaddr(a.Addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		r.Stage = StageSocket
		return err
	}
	s.fd, s.open = fd, true
	r.Stage = StageConnect
	_, err = ring.do(ringConnect, fd, 0, ring.putAddr(a), 0)
	if r.decided(s, err) != nil {
		return err
	}
	return ring.ask(s.fd, a.Messages()[0], r)
}

// putAddr writes the attempt's address into room and returns its length.
func (r *ring) putAddr(a Attempt) uint32 {
	_, sa := sockaddr(a.Addr)
	if six, ok := sa.(*unix.SockaddrInet6); ok {
		raw := (*unix.RawSockaddrInet6)(unsafe.Pointer(&r.room[0]))
		*raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: six.Addr, Scope_id: six.ZoneId}
		putPort(&raw.Port, a.Addr.Port())
		return unix.SizeofSockaddrInet6
	}
	*(*unix.RawSockaddrInet4)(unsafe.Pointer(&r.room[0])) = rawInet4(a.Addr)
	return unix.SizeofSockaddrInet4
}

func (r *ring) ask(fd int, m []byte, out *Result) error {
	out.Stage = StageWrite
	for len(m) > 0 {
		n, err := r.do(ringSend, fd, uint32(copy(r.room, m)), 0, unix.MSG_NOSIGNAL)
		if err != nil {
			return err
		}
		m = m[n:]
	}
	out.Stage = StageRead
	for len(out.Reply) < echo.MaxReply {
		n, err := r.do(ringRecv, fd, echo.MaxReply, 0, 0)
		if errors.Is(err, errBudget) && len(out.Reply) > 0 {
			break // the answer has settled
		}
		if err != nil {
			return err
		}
		out.Reply = append(out.Reply, r.room[:n]...)
		if n == 0 || whole(out.Reply, false) {
			break
		}
		r.deadline = earlier(r.deadline, time.Now().Add(settle))
	}
	out.Stage = StageDone
	return nil
}
