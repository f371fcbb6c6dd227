//go:build linux

package vnet

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A rule is one line of `ip rule`, for packets the guest itself sends.
type rule struct {
	pref  uint32
	to    netip.Prefix // also says the family; /0 matches everything
	from  netip.Prefix // the zero prefix matches everything, and a source not chosen yet
	proto uint8        // 0 = any
	sport portRange    // zero = any
	dport portRange
	table uint32 // looked up when action is zero
	// action is FR_ACT_*; zero means look table up.
	action uint8
	// received extends the rule to packets that come in from the TUN.
	received bool
}

type portRange struct{ first, last uint16 }

func (p portRange) attr(kind int) *nl.RtAttr {
	b := make([]byte, 4)
	nl.NativeEndian().PutUint16(b, p.first)
	nl.NativeEndian().PutUint16(b[2:], p.last)
	return nl.NewRtAttr(kind, b)
}

func onePort(p uint16) portRange { return portRange{p, p} }

func familyOf(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// request builds the netlink request that adds or deletes r.
func (r rule) request(kind, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	msg := &nl.RtMsg{RtMsg: unix.RtMsg{
		Family:  familyOf(r.to.Addr()),
		Dst_len: uint8(r.to.Bits()),
		Type:    r.action, // struct fib_rule_hdr has its action where rtmsg has its type
	}}
	if r.action == 0 {
		msg.Type = nl.FR_ACT_TO_TBL
	}
	req.AddData(msg)
	if r.to.Bits() > 0 {
		req.AddData(nl.NewRtAttr(nl.FRA_DST, r.to.Addr().AsSlice()))
	}
	if r.from.IsValid() {
		msg.Src_len = uint8(r.from.Bits())
		req.AddData(nl.NewRtAttr(nl.FRA_SRC, r.from.Addr().AsSlice()))
	}
	req.AddData(nl.NewRtAttr(nl.FRA_PRIORITY, nl.Uint32Attr(r.pref)))
	if r.table != 0 {
		req.AddData(nl.NewRtAttr(nl.FRA_TABLE, nl.Uint32Attr(r.table)))
	}
	if !r.received {
		req.AddData(nl.NewRtAttr(nl.FRA_IIFNAME, nl.ZeroTerminated("lo")))
	}
	if r.proto != 0 {
		req.AddData(nl.NewRtAttr(nl.FRA_IP_PROTO, nl.Uint8Attr(r.proto)))
	}
	if r.sport != (portRange{}) {
		req.AddData(r.sport.attr(nl.FRA_SPORT_RANGE))
	}
	if r.dport != (portRange{}) {
		req.AddData(r.dport.attr(nl.FRA_DPORT_RANGE))
	}
	return req
}

// addRule adds r; one that is there already is no error.
func (c *netlinkConn) addRule(r rule) error {
	err := c.exchange(r.request(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL), nil)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("vnet: add rule %d to %s: %w", r.pref, r.to, err)
	}
	return nil
}

// deleteRule deletes r; one that is gone already is no error.
func (c *netlinkConn) deleteRule(r rule) error {
	err := c.exchange(r.request(unix.RTM_DELRULE, 0), nil)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("vnet: delete rule %d to %s: %w", r.pref, r.to, err)
	}
	return nil
}
