package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hostsFile and namePort are variables for the tests.
var (
	hostsFile = "/etc/hosts"
	namePort  = uint16(53)
)

// nameBudget is how long the guest's nameservers are asked altogether: on a host they answer at once or forward.
const nameBudget = 400 * time.Millisecond

// errUnresolved says that the guest knows no address of a name.
var errUnresolved = errors.New("agent: the name does not resolve")

// byName dials the first IPv4 address that the guest has for the name in Path, at Addr's port.
func byName(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	ip, ok := fromHosts(a.Path)
	if !ok {
		if ip, ok = fromNameservers(a.Path, s); !ok {
			return errUnresolved
		}
	}
	a.Addr = netip.AddrPortFrom(ip, a.Addr.Port())
	return plainly(s, a, r)
}

// fromHosts looks a name up in the guest's own list.
func fromHosts(name string) (netip.Addr, bool) {
	b, err := os.ReadFile(hostsFile)
	if err != nil {
		return netip.Addr{}, false
	}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		for i, n := range f {
			if i == 0 || !strings.EqualFold(n, name) {
				continue
			}
			if ip, err := netip.ParseAddr(f[0]); err == nil && ip.Is4() {
				return ip, true
			}
		}
	}
	return netip.Addr{}, false
}

// fromNameservers asks each of the guest's nameservers in its share of the time.
func fromNameservers(name string, s *stream) (netip.Addr, bool) {
	servers, err := nameservers(netip.AddrPortFrom(netip.IPv4Unspecified(), namePort))
	if err != nil {
		return netip.Addr{}, false
	}
	end := time.Now().Add(nameBudget)
	if s.deadline.Before(end) {
		end = s.deadline
	}
	for i, at := range servers {
		one := s.part(share(end, len(servers)-i))
		ip, ok := one.lookUp(name, at)
		one.close()
		if ok {
			return ip, true
		}
	}
	return netip.Addr{}, false
}

// lookUp asks one nameserver for an address of name. An answer to another question is passed over.
func (s *stream) lookUp(name string, at netip.AddrPort) (netip.Addr, bool) {
	question := nameQuestion(name)
	family, sa := sockaddr(at)
	if s.socket(family, unix.SOCK_DGRAM, unix.IPPROTO_UDP) != nil || unix.Sendto(s.fd, question, 0, sa) != nil {
		return netip.Addr{}, false
	}
	buf := make([]byte, 1500)
	for s.wait(unix.POLLIN) == nil {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if err != nil {
			return netip.Addr{}, false
		}
		if n >= len(question) && bytes.Equal(buf[:2], question[:2]) {
			return nameAnswer(buf[:n], len(question))
		}
	}
	return netip.Addr{}, false
}

// nameQuestion is a query for the A record of name (RFC 1035 §4.1), with a number that tells its answer.
func nameQuestion(name string) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(time.Now().UnixNano()))
	b = append(b, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0) // recursion desired; one question
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0, 0, 1, 0, 1)
}

// nameAnswer is the first A record of an answer whose question ends at at. A name in it is one or more labels, or a pointer.
func nameAnswer(b []byte, at int) (netip.Addr, bool) {
	for range binary.BigEndian.Uint16(b[6:8]) {
		for at < len(b) && b[at] != 0 && b[at] < 0xc0 {
			at += 1 + int(b[at])
		}
		if at >= len(b) {
			break
		}
		if b[at] >= 0xc0 {
			at++
		}
		at++
		if at+10 > len(b) {
			break
		}
		kind, size := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+8:]))
		at += 10
		if at+size > len(b) {
			break
		}
		if kind == 1 && size == 4 {
			return netip.AddrFrom4([4]byte(b[at : at+4])), true
		}
		at += size
	}
	return netip.Addr{}, false
}
