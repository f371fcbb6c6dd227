package agent

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A link is one interface of the guest's that is up.
type link struct {
	name     string
	index    int
	loopback bool
}

// links are the interfaces that are up, the loopback last.
func links() ([]link, error) {
	rows, err := rtnetlinkDump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		return nil, err
	}
	var all, loopback []link
	for _, row := range rows {
		if len(row) < unix.SizeofIfInfomsg {
			continue
		}
		l := link{index: int(binary.NativeEndian.Uint32(row[4:])), name: string(attrIn(row[unix.SizeofIfInfomsg:], unix.IFLA_IFNAME))}
		l.name = strings.TrimRight(l.name, "\x00")
		switch flags := binary.NativeEndian.Uint32(row[8:]); {
		case flags&unix.IFF_UP == 0:
		case flags&unix.IFF_LOOPBACK != 0:
			l.loopback = true
			loopback = append(loopback, l)
		default:
			all = append(all, l)
		}
	}
	return append(all, loopback...), nil
}

// sourceOn is the first IPv4 address of an interface, 0.0.0.0 if it has none.
func sourceOn(index int) netip.Addr {
	rows, _ := rtnetlinkDump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg))
	for _, row := range rows {
		if len(row) < unix.SizeofIfAddrmsg || row[0] != unix.AF_INET || int(binary.NativeEndian.Uint32(row[4:])) != index {
			continue
		}
		if ip, ok := netip.AddrFromSlice(attrIn(row[unix.SizeofIfAddrmsg:], unix.IFA_LOCAL)); ok {
			return ip
		}
	}
	return netip.IPv4Unspecified()
}

// attr is one attribute of a netlink message, padded.
func attr(kind int, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, uint16(kind))
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func attr32(kind int, value uint32) []byte {
	return attr(kind, binary.NativeEndian.AppendUint32(nil, value))
}

// attrIn is the value of the first attribute of a kind, nil for none.
func attrIn(b []byte, kind int) []byte {
	for len(b) >= 4 {
		size, k := int(binary.NativeEndian.Uint16(b)), int(binary.NativeEndian.Uint16(b[2:]))
		if size < 4 || size > len(b) {
			return nil
		}
		if k == kind {
			return b[4:size]
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return nil
}

// A netlinkSocket is a conversation with the kernel about its network.
type netlinkSocket int

func openNetlink(protocol int) (netlinkSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return 0, err
	}
	second := unix.NsecToTimeval(time.Second.Nanoseconds()) // the kernel answers within the call, so this is for no kernel known
	return netlinkSocket(fd), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second)
}

func (n netlinkSocket) close() { _ = unix.Close(int(n)) }

func (n netlinkSocket) send(kind, flags int, body []byte) error {
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	m = binary.NativeEndian.AppendUint16(m, uint16(kind))
	m = binary.NativeEndian.AppendUint16(m, uint16(flags|unix.NLM_F_REQUEST))
	m = append(m, make([]byte, 8)...)
	return unix.Sendto(int(n), append(m, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// receive hands each message to take until that says that it was the last.
func (n netlinkSocket) receive(take func(kind uint16, body []byte) (last bool, err error)) error {
	buf := make([]byte, 64<<10)
	for {
		size, _, err := unix.Recvfrom(int(n), buf, 0)
		if err != nil {
			return err
		}
		for b := buf[:size]; len(b) >= unix.SizeofNlMsghdr; {
			length := int(binary.NativeEndian.Uint32(b))
			if length < unix.SizeofNlMsghdr || length > len(b) {
				return unix.EPROTO
			}
			last, err := take(binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:length])
			if last || err != nil {
				return err
			}
			b = b[min(len(b), (length+3)&^3):]
		}
	}
}

// rtnetlink makes one request and returns what the kernel says of it.
func rtnetlink(kind, flags int, head []byte, attrs ...[]byte) error {
	n, err := openNetlink(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer n.close()
	if err := n.send(kind, flags|unix.NLM_F_ACK, append(head, bytes.Join(attrs, nil)...)); err != nil {
		return err
	}
	return n.receive(func(kind uint16, body []byte) (bool, error) {
		if kind != unix.NLMSG_ERROR {
			return true, unix.EPROTO
		}
		return true, netlinkError(body)
	})
}

// rtnetlinkDump asks for everything of a kind about the network's settings.
func rtnetlinkDump(kind int, head []byte) ([][]byte, error) {
	return netlinkDump(unix.NETLINK_ROUTE, kind, head)
}

// netlinkDump asks for everything of a kind. A dump that the kernel cuts short is an error: its end bears the reason.
func netlinkDump(protocol, kind int, head []byte) ([][]byte, error) {
	n, err := openNetlink(protocol)
	if err != nil {
		return nil, err
	}
	defer n.close()
	if err := n.send(kind, unix.NLM_F_DUMP, head); err != nil {
		return nil, err
	}
	var all [][]byte
	err = n.receive(func(kind uint16, body []byte) (bool, error) {
		if kind == unix.NLMSG_DONE || kind == unix.NLMSG_ERROR {
			return true, netlinkError(body)
		}
		all = append(all, bytes.Clone(body))
		return false, nil
	})
	return all, err
}

// netlinkError is what the last message of an answer says: zero, or an errno below it.
func netlinkError(body []byte) error {
	if len(body) < 4 {
		return unix.EPROTO
	}
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
