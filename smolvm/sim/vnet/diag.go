//go:build linux

package vnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A guestSocket is a socket of the guest's, as sock_diag tells it.
type guestSocket struct {
	family uint8
	local  netip.AddrPort
	remote netip.AddrPort
}

// Bits of a set of TCP states (include/net/tcp_states.h). An unconnected UDP
// socket is "closed", a connected one "established".
const (
	stateEstablished = 1 << 1
	stateTimeWait    = 1 << 6
	stateClosed      = 1 << 7
	stateListening   = 1 << 10
	stateAny         = 1<<13 - 1
)

// sockets calls visit with each of the guest's sockets of one protocol that is in
// one of states.
func (c *netlinkConn) sockets(proto uint8, states uint32, visit func(guestSocket)) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		req := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		req.AddData(diagRequest{family: family, proto: proto, states: states})
		err := c.exchange(req, func(b []byte) {
			if s, ok := parseSocket(b); ok {
				visit(s)
			}
		})
		if err != nil {
			return fmt.Errorf("vnet: list the guest's sockets: %w", err)
		}
	}
	return nil
}

// diagRequest is struct inet_diag_req_v2 with an empty socket id.
type diagRequest struct {
	family, proto uint8
	states        uint32
}

const diagRequestLen = 56

func (diagRequest) Len() int { return diagRequestLen }

func (r diagRequest) Serialize() []byte {
	b := make([]byte, diagRequestLen)
	b[0], b[1] = r.family, r.proto
	nl.NativeEndian().PutUint32(b[4:], r.states)
	return b
}

// parseSocket reads struct inet_diag_msg: family, state, timer, retransmits,
// then ports and addresses in network order.
func parseSocket(b []byte) (guestSocket, bool) {
	if len(b) < 40 {
		return guestSocket{}, false
	}
	addr := func(at []byte) netip.Addr {
		if b[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(at))
		}
		return netip.AddrFrom16([16]byte(at))
	}
	return guestSocket{
		family: b[0],
		local:  netip.AddrPortFrom(addr(b[8:24]), binary.BigEndian.Uint16(b[4:])),
		remote: netip.AddrPortFrom(addr(b[24:40]), binary.BigEndian.Uint16(b[6:])),
	}, true
}

// serves are the loopback families on which s answers. A dual-stack wildcard
// answers on both; one with IPV6_V6ONLY is taken for dual, which costs no more
// than a refused connect where the host would have been asked.
func (s guestSocket) serves() []netip.Prefix {
	a := s.local.Addr()
	switch {
	case s.family == unix.AF_INET && (a.IsUnspecified() || a.IsLoopback()):
		return []netip.Prefix{loopbackV4}
	case s.family == unix.AF_INET6 && a.IsUnspecified():
		return []netip.Prefix{loopbackV4, loopbackV6}
	case a == netip.IPv6Loopback():
		return []netip.Prefix{loopbackV6}
	case a.Is4In6() && (a.Unmap().IsLoopback() || a.Unmap().IsUnspecified()):
		return []netip.Prefix{loopbackV4}
	}
	return nil
}
