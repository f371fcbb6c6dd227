package agent

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// sendFrames puts the messages on every interface as frames of its own making, past the guest's routes and firewall: to everybody on
// the wire, and to every neighbour that the guest knows, since who routes takes no frame for everybody. An answer comes to the
// socket, whose port the frames have as their source.
func sendFrames(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	if err := unix.Bind(s.fd, &unix.SockaddrInet4{}); err != nil {
		return err
	}
	own, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	all, err := links()
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	r.Stage = StageWrite
	sent := false
	for _, l := range all {
		source := netip.AddrPortFrom(sourceOn(l.index), addrOf(own).Port())
		for _, hardware := range neighbours(l.name) {
			to := &unix.SockaddrLinklayer{Protocol: ipv4Frame, Ifindex: l.index, Halen: uint8(len(hardware))}
			copy(to.Addr[:], hardware)
			for _, m := range a.Messages() {
				if err = unix.Sendto(fd, packet(source, a.Addr, m), unix.MSG_DONTWAIT, to); err == nil {
					sent = true
				}
			}
		}
	}
	switch {
	case sent:
		return nil
	case err == nil:
		return unix.ENETDOWN
	}
	return err
}

// sendRaw hands the messages to the kernel as packets that are made already, for it to route: no datagram socket sends them. An answer comes to
// the socket whose port they have as their source; the kernel puts in the address.
func sendRaw(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	if err := unix.Bind(s.fd, &unix.SockaddrInet4{}); err != nil {
		return err
	}
	own, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	r.Stage = StageWrite
	for _, m := range a.Messages() {
		_, to := sockaddr(netip.AddrPortFrom(a.Addr.Addr(), 0))
		if err := unix.Sendto(fd, packet(addrOf(own), a.Addr, m), unix.MSG_DONTWAIT, to); err != nil {
			return err
		}
	}
	return nil
}

// ipv4Frame is ETH_P_IP as sockaddr_ll has it: in the order of the wire.
var ipv4Frame = binary.NativeEndian.Uint16([]byte{0x08, 0x00})

// neighbours are everybody on an interface's wire, and those of them that the guest's ARP table has.
func neighbours(name string) [][]byte {
	all := [][]byte{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	table, _ := os.ReadFile("/proc/thread-self/net/arp")
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[5] != name {
			continue
		}
		if hardware, err := hex.DecodeString(strings.ReplaceAll(f[3], ":", "")); err == nil && len(hardware) == 6 {
			all = append(all, hardware)
		}
	}
	return all
}

// packet is an IPv4 packet with a UDP datagram in it. Its datagram has no checksum, which IPv4 allows.
func packet(from, to netip.AddrPort, payload []byte) []byte {
	const head, udp = 20, 8
	b := make([]byte, head+udp, head+udp+len(payload))
	b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(b[2:], uint16(cap(b)))
	copy(b[12:], from.Addr().AsSlice())
	copy(b[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(b[:head]))
	binary.BigEndian.PutUint16(b[20:], from.Port())
	binary.BigEndian.PutUint16(b[22:], to.Port())
	binary.BigEndian.PutUint16(b[24:], uint16(udp+len(payload)))
	return append(b, payload...)
}
