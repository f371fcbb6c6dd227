package agent

import (
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

type addrPort = netip.AddrPort

func netipPort(ip netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(ip, port) }

// nameservers are what the guest's resolv.conf names; none is ENOENT.
func nameservers() ([]netip.Addr, error) {
	b, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if ip, err := netip.ParseAddr(f[1]); err == nil {
			all = append(all, ip)
		}
	}
	if len(all) == 0 {
		return nil, unix.ENOENT
	}
	return all, nil
}
