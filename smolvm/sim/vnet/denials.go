//go:build linux

package vnet

import (
	"net/netip"
	"strings"
	"sync"
	"time"
)

// maxDenials is how many denials are logged in a second. A guest can make them
// faster than anyone reads. It is more than a batch of probes makes, of which each
// is looked for: smolvm bounds its log by size, 8 MiB before it rotates.
const maxDenials = 2000

// denials logs what the policy denied. Safe for concurrent use.
type denials struct {
	logf func(string, ...any)

	mu      sync.Mutex
	second  time.Time
	count   int
	dropped int
}

func newDenials(logf func(string, ...any)) *denials { return &denials{logf: logf} }

// connect logs a denied TCP flow in libkrun's words (libkrun muxer.rs).
func (d *denials) connect(to netip.AddrPort) { d.log("egress policy denied connect to %s", to) }

// sendto logs a denied datagram.
func (d *denials) sendto(to netip.AddrPort) { d.log("egress policy denied sendto to %s", to) }

// ping logs a denied echo request. It is no line of smolvm's, and no reader of
// denials should take it for one.
func (d *denials) ping(to netip.Addr) { d.log("ping of %s is dropped: egress policy", to) }

// name logs a name that the host filter answered with NXDOMAIN.
func (d *denials) name(name string) {
	d.log("name %q does not resolve: host filter", strings.TrimSuffix(name, "."))
}

func (d *denials) log(format string, to any) {
	d.mu.Lock()
	now := time.Now()
	missed := 0
	if now.Sub(d.second) >= time.Second {
		missed, d.second, d.count, d.dropped = d.dropped, now, 0, 0
	}
	d.count++
	full := d.count > maxDenials
	if full {
		d.dropped++
	}
	d.mu.Unlock()
	if missed > 0 {
		d.logf("egress policy denied %d more, not listed", missed)
	}
	if !full {
		d.logf(format, to)
	}
}
