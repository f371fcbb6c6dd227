package agent

import (
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// resolvConf is a variable for the tests.
var resolvConf = "/etc/resolv.conf"

// nameservers are those of the guest's resolv.conf that have the family of at, with its port. None is ENOENT.
func nameservers(at netip.AddrPort) ([]netip.AddrPort, error) {
	b, err := os.ReadFile(resolvConf)
	if err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if ip, err := netip.ParseAddr(f[1]); err == nil && ip.Is4() == at.Addr().Is4() {
			all = append(all, netip.AddrPortFrom(ip, at.Port()))
		}
	}
	if len(all) == 0 {
		return nil, unix.ENOENT
	}
	return all, nil
}

// toResolver asks one nameserver after the other, each in its share of what is left of the budget, until one answers.
func toResolver(s *stream, a Attempt, r *Result) error {
	r.Stage = StagePrepare
	servers, err := nameservers(a.Addr)
	for i, at := range servers {
		one := s.part(share(s.deadline, len(servers)-i))
		b := a
		b.Addr = at
		err = plainly(one, b, r)
		one.close()
		if len(r.Reply) > 0 {
			return err
		}
	}
	return err
}

// share is the end of the first of parts equal parts of the time until deadline.
func share(deadline time.Time, parts int) time.Time {
	return time.Now().Add(time.Until(deadline) / time.Duration(max(1, parts)))
}
