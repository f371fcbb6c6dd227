//go:build linux

package vnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tsiLink is not called eth0: a libkrun guest on TSI has no such interface.
const tsiLink = "tsi0"

// The routing tables of a tsi guest, beside the kernel's own.
const (
	tableLoopback = 200 // where 127.0.0.0/8 and ::1 lead
	tableTUN      = 201 // all of it to the TUN, UDP above all: denied datagrams vanish in the supervisor
)

// ephemeral is the guest's ip_local_port_range. Under a policy a connect to an
// unserved port of 127.0.0.0/8 has to fail with EACCES, at once and in the guest's
// kernel, so a listener is served only once it has been noticed. A program that
// listens on port 0 and connects to itself must not depend on that: its port
// comes from this range, and this range stays inside the guest. It is away from
// Linux's default range, where the host's own listeners get theirs.
var ephemeral = portRange{20000, 24095}

// prepareTSI makes the kernel answer for TSI: what the policy denies is a
// prohibited route, so connect() itself fails with EACCES; everything else
// leads to the TUN.
func prepareTSI(cfg Config) (files []*os.File, err error) {
	link, files, err := prepareLink(tsiLink, netip.PrefixFrom(guestV4, 32), netip.PrefixFrom(guestV6, 128))
	if err != nil {
		return files, err
	}
	files, err = openTSISockets(files)
	if err != nil {
		return files, err
	}
	rt, err := newNetlinkConn(files[fileRoute])
	if err != nil {
		return files, err
	}
	defer rt.Close()
	if err := acceptLoopback(rt, link); err != nil {
		return files, err
	}
	span := fmt.Sprintf("%d %d", ephemeral.first, ephemeral.last)
	if err := setSysctl("net.ipv4.ip_local_port_range", span); err != nil {
		return files, err
	}
	for _, r := range tsiRoutes(cfg, link) {
		if err := addRoute(r); err != nil {
			return files, err
		}
	}
	return files, installRules(rt, cfg)
}

// installRules puts the guest's rules in place, and moves the kernel's own
// first rule, "local", behind them.
func installRules(rt *netlinkConn, cfg Config) error {
	for _, r := range tsiRules(cfg) {
		if err := rt.addRule(r); err != nil && !noIPv6(r.to.Addr(), errors.Unwrap(err)) {
			return err
		}
	}
	for _, a := range []netip.Addr{guestV4, guestV6} {
		old := rule{pref: prefLocalMoved, to: everything(a), table: unix.RT_TABLE_LOCAL, received: true}
		if err := rt.deleteRule(old); err != nil && !noIPv6(a, errors.Unwrap(err)) {
			return err
		}
	}
	return nil
}

// openTSISockets opens what the supervisor needs to watch the guest's listeners:
// it holds no socket of this namespace otherwise.
func openTSISockets(files []*os.File) ([]*os.File, error) {
	for _, s := range []struct {
		protocol int
		name     string
	}{
		{unix.NETLINK_ROUTE, "rtnetlink"},
		{unix.NETLINK_SOCK_DIAG, "sock_diag"},
	} {
		f, err := openNetlink(s.protocol, s.name)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	// Protocol 0 receives nothing: this socket only sends.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return files, fmt.Errorf("vnet: packet socket on lo (needs CAP_NET_RAW): %w", err)
	}
	return append(files, os.NewFile(uintptr(fd), "lo")), nil
}

// Numbers of linux/ip.h that x/sys lacks.
const (
	devconfRPFilter      = 8
	devconfAcceptLocal   = 23
	devconfRouteLocalnet = 26
)

// acceptLoopback lets packets of 127.0.0.0/8 leave and enter by the TUN. By
// rtnetlink and not by /proc/sys, which is read-only in many containers.
func acceptLoopback(rt *netlinkConn, link int) error {
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	req.AddData(&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Family: unix.AF_UNSPEC, Index: int32(link)}})
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(unix.IFLA_INET_CONF, nil)
	conf.AddRtAttr(devconfRPFilter, nl.Uint32Attr(0))
	conf.AddRtAttr(devconfAcceptLocal, nl.Uint32Attr(1))
	conf.AddRtAttr(devconfRouteLocalnet, nl.Uint32Attr(1))
	req.AddData(spec)
	if err := rt.exchange(req, nil); err != nil {
		return fmt.Errorf("vnet: let %s carry 127.0.0.0/8: %w", tsiLink, err)
	}
	// The stricter of "all" and the interface's own counts.
	return setSysctl("net.ipv4.conf.all.rp_filter", "0")
}

// tsiRoutes are the guest's routes in the main table and in the two of its own.
func tsiRoutes(cfg Config, link int) []netlink.Route {
	var routes []netlink.Route
	toTUN := func(table int, to netip.Prefix, source netip.Addr) {
		r := netlink.Route{LinkIndex: link, Dst: ipNet(to), Table: table, Scope: netlink.SCOPE_LINK}
		if source.IsValid() {
			r.Src = source.AsSlice()
		}
		routes = append(routes, r)
	}
	for _, f := range []struct{ own, source netip.Addr }{
		{guestV4, netip.MustParseAddr("127.0.0.1")},
		// The kernel takes no packet from ::1 to ::1 off any interface but lo,
		// where it would be routed out again: the guest's end is its other address.
		{guestV6, guestV6},
	} {
		loopback := loopbackOf(f.own)
		toTUN(tableTUN, everything(f.own), netip.Addr{})
		toTUN(tableTUN, loopback, f.source)
		if !cfg.Restrict || cfg.OpenIPv6 && f.own.Is6() {
			toTUN(tableLoopback, loopback, f.source)
			toTUN(unix.RT_TABLE_MAIN, everything(f.own), netip.Addr{})
			continue
		}
		for _, to := range []struct {
			table  int
			prefix netip.Prefix
		}{{tableLoopback, loopback}, {unix.RT_TABLE_MAIN, everything(f.own)}} {
			routes = append(routes, netlink.Route{Dst: ipNet(to.prefix), Table: to.table, Type: unix.RTN_PROHIBIT})
		}
		for _, p := range allowedLoopback(cfg, loopback) {
			toTUN(tableLoopback, p, f.source)
		}
		for _, p := range ofFamily(cfg.Allow, f.own) {
			toTUN(unix.RT_TABLE_MAIN, p, netip.Addr{})
		}
	}
	return routes
}
