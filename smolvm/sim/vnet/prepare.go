//go:build linux

package vnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Where Prepare puts each descriptor. The tsi backend alone has the last three.
const (
	fileTUN = iota
	fileRoute
	fileDiag
	fileLoopback
	filesTSI
	filesVirtioNet = fileTUN + 1
)

// Prepare sets the guest's end up: lo, the TUN interface, addresses, routes and,
// for tsi, the policy routing that turns a deny into EACCES. It runs in a thread
// inside the guest's network namespace, with CAP_NET_ADMIN over it and for tsi
// CAP_NET_RAW as well, in a process that can open /dev/net/tun. It returns the
// descriptors that [Serve] needs, in order; the caller closes them once they
// have been passed on. After an error nothing is left open.
func Prepare(cfg Config) (files []*os.File, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() {
		if err != nil {
			closeFiles(files)
			files = nil
		}
	}()
	if cfg.Backend == TSI {
		return prepareTSI(cfg)
	}
	return prepareVirtioNet()
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// prepareVirtioNet gives the guest what smolvm's init gives it: an address and
// default routes over eth0 (smolvm v1.9.3 network/stack.rs).
func prepareVirtioNet() (files []*os.File, err error) {
	link, files, err := prepareLink("eth0", netip.PrefixFrom(guestV4, 30), netip.PrefixFrom(guestV6, 64))
	if err != nil {
		return files, err
	}
	for _, r := range []struct {
		to      netip.Prefix
		gateway netip.Addr
	}{
		{everything(guestV4), gatewayV4},
		{everything(guestV6), gatewayV6},
	} {
		if err := addRoute(netlink.Route{LinkIndex: link, Dst: ipNet(r.to), Gw: r.gateway.AsSlice()}); err != nil {
			return files, err
		}
	}
	return files, nil
}

// prepareLink brings lo up, makes the TUN interface and gives it addresses.
func prepareLink(name string, addrs ...netip.Prefix) (index int, files []*os.File, err error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return 0, nil, fmt.Errorf("vnet: lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return 0, nil, fmt.Errorf("vnet: bring lo up: %w", err)
	}
	tun, err := openTUN(name)
	if err != nil {
		return 0, nil, err
	}
	files = []*os.File{tun}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0, files, fmt.Errorf("vnet: %s: %w", name, err)
	}
	if err := netlink.LinkSetMTU(link, linkMTU); err != nil {
		return 0, files, fmt.Errorf("vnet: MTU of %s: %w", name, err)
	}
	for key, value := range map[string]string{"disable_ipv6": "0", "accept_ra": "0", "addr_gen_mode": "1"} {
		if err := setSysctl("net.ipv6.conf."+name+"."+key, value); err != nil {
			return 0, files, err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return 0, files, fmt.Errorf("vnet: bring %s up: %w", name, err)
	}
	for _, a := range addrs {
		addr := &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}
		err := netlink.AddrAdd(link, addr)
		if err == nil {
			err = awaitLocal(a.Addr())
		}
		if err != nil && !noIPv6(a.Addr(), err) {
			return 0, files, fmt.Errorf("vnet: address %s of %s: %w", a, name, err)
		}
	}
	return link.Attrs().Index, files, nil
}

// localTimeout bounds the wait for an address to become the guest's own.
const localTimeout = 2 * time.Second

// awaitLocal waits until the kernel takes packets to addr. For IPv6 that is some
// time after the address has been added, without DAD too (addrconf_dad_work), and
// the first answers from the host would be lost.
func awaitLocal(addr netip.Addr) error {
	deadline := time.Now().Add(localTimeout)
	for {
		routes, err := netlink.RouteGet(addr.AsSlice())
		switch {
		case err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("not usable after %v: %w", localTimeout, errors.Join(err, os.ErrDeadlineExceeded))
		}
		time.Sleep(time.Millisecond)
	}
}

// noIPv6 reports whether err is a kernel booted without IPv6 refusing addr.
func noIPv6(addr netip.Addr, err error) bool {
	return addr.Is6() && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP))
}

func addRoute(r netlink.Route) error {
	to := netip.MustParsePrefix(r.Dst.String())
	if err := netlink.RouteReplace(&r); err != nil && !noIPv6(to.Addr(), err) {
		return fmt.Errorf("vnet: route to %s: %w", to, err)
	}
	return nil
}

// setSysctl writes a setting of the calling thread's network namespace. One
// that this kernel lacks, or that a container's read-only /proc/sys withholds,
// is left alone: every setting that matters is checked by what depends on it.
func setSysctl(key, value string) error {
	err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(key, ".", "/"), []byte(value), 0)
	switch {
	case err == nil, errors.Is(err, os.ErrNotExist), errors.Is(err, unix.EROFS), errors.Is(err, os.ErrPermission):
		return nil
	default:
		return fmt.Errorf("vnet: set %s: %w", key, err)
	}
}

// everything is the default route's prefix in a's family.
func everything(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
