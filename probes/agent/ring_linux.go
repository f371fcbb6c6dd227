package agent

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What io_uring(7) names, as far as one connect needs it.
const (
	ringEntries    = 1
	ringOpConnect  = 16
	ringGetEvents  = 1
	ringOffSQ      = 0
	ringOffSQEs    = 0x10000000
	ringSingleMmap = 1
	sqeSize        = 64
	ringParamsSize = 120
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

// byRing connects by io_uring: no connect call is made. The socket blocks, and the ring waits in its place.
func byRing(s *stream, a Attempt, _ *[][]byte) (Stage, error) {
	family, sa := sockaddr(a.Addr)
	if err := s.socket(family, unix.SOCK_STREAM, unix.IPPROTO_TCP); err != nil {
		return StageSocket, err
	}
	raw, size := rawSockaddr(sa)
	err := ringConnect(s.fd, raw, size, time.Until(s.deadline))
	if errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EAGAIN) {
		err = s.connected()
	}
	return StageConnect, err
}

func rawSockaddr(sa unix.Sockaddr) (unsafe.Pointer, uint32) {
	if six, ok := sa.(*unix.SockaddrInet6); ok {
		raw := &unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: six.Addr, Scope_id: six.ZoneId}
		p := (*[2]byte)(unsafe.Pointer(&raw.Port))
		p[0], p[1] = byte(six.Port>>8), byte(six.Port)
		return unsafe.Pointer(raw), unix.SizeofSockaddrInet6
	}
	four, _ := sa.(*unix.SockaddrInet4)
	raw := &unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: four.Addr}
	p := (*[2]byte)(unsafe.Pointer(&raw.Port))
	p[0], p[1] = byte(four.Port>>8), byte(four.Port)
	return unsafe.Pointer(raw), unix.SizeofSockaddrInet4
}

// ringConnect submits one connect and returns what it completed with. A ring that the kernel does not have is ENOSYS.
func ringConnect(fd int, addr unsafe.Pointer, size uint32, limit time.Duration) error {
	var p ringParams
	ring, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, ringEntries, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return errno
	}
	defer func() { _ = unix.Close(int(ring)) }()
	if p.features&ringSingleMmap == 0 {
		return fmt.Errorf("an io_uring older than 5.4: %w", unix.ENOSYS)
	}
	const room = 4096
	rings, err := unix.Mmap(int(ring), ringOffSQ, max(room, int(p.cq.cqes+p.cqEntries*16)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(rings) }()
	sqes, err := unix.Mmap(int(ring), ringOffSQEs, sqeSize*int(p.sqEntries), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(sqes) }()
	sqes[0] = ringOpConnect
	put32(sqes[4:], uint32(fd))
	put64(sqes[8:], uint64(size))           // off: the address's length
	put64(sqes[16:], uint64(uintptr(addr))) // addr
	put32(rings[p.sq.array:], 0)            // the first entry of the array is the first SQE
	put32(rings[p.sq.tail:], get32(rings[p.sq.tail:])+1)
	_, _, errno = unix.Syscall6(unix.SYS_IO_URING_ENTER, ring, 1, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if err := awaitRing(int(ring), limit); err != nil {
		return err
	}
	if get32(rings[p.cq.head:]) == get32(rings[p.cq.tail:]) {
		return errBudget
	}
	cqe := rings[p.cq.cqes:]
	if res := int32(get32(cqe[8:])); res < 0 {
		return unix.Errno(-res)
	}
	return nil
}

// awaitRing waits until a completion is there: a ring is readable then.
func awaitRing(ring int, limit time.Duration) error {
	s := stream{fd: ring, deadline: time.Now().Add(limit)}
	return s.wait(unix.POLLIN)
}

func put32(b []byte, v uint32) { *(*uint32)(unsafe.Pointer(&b[0])) = v }
func put64(b []byte, v uint64) { *(*uint64)(unsafe.Pointer(&b[0])) = v }
func get32(b []byte) uint32    { return *(*uint32)(unsafe.Pointer(&b[0])) }
