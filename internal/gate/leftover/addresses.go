package leftover

import (
	"context"
	"net"
	"net/netip"
)

// aliasPool is where package bottletest draws the addresses from that it adds to the loopback interface.
var aliasPool = netip.MustParsePrefix("10.78.0.0/16")

// addresses lists what has been added to the loopback interfaces. A bottle's is this project's by its pool.
func addresses(_ context.Context, s Snapshot) error {
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				s["address "+a.String()] = thing{"address", a.String() + " on " + i.Name, aliasPool.Contains(p.Addr())}
			}
		}
	}
	return nil
}
