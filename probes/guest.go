package probes

import (
	"net/netip"
)

// A Guest is what the sandbox says of itself. None of it is evidence.
type Guest struct {
	UID        int      `json:"uid"`
	Kernel     string   `json:"kernel,omitempty"`
	BootID     string   `json:"boot_id,omitempty"`
	Hostname   string   `json:"hostname,omitempty"`
	Interfaces []string `json:"interfaces,omitempty"`
	Notes      []string `json:"notes,omitempty"`    // what it could not find out
	PeakKiB    int      `json:"peak_kib,omitempty"` // of memory that the agent had resident; 0 is not known
	Weak       string   `json:"weak,omitempty"`     // why its answers are weaker evidence than the agent's; "" is the agent's
}

// guest is what the guest said of itself, nil if it said nothing that counts.
func (b *batch) guest() *Guest {
	if b.fault != "" {
		return nil
	}
	s := b.answer.Self
	return &Guest{UID: s.UID, Kernel: s.Kernel, BootID: s.BootID, Hostname: s.Hostname, Interfaces: s.Interfaces, Notes: s.Notes, PeakKiB: s.PeakKiB, Weak: s.Weak}
}

// shadow is the guest's own listener that would answer in place of the host's at a, "" if there is none.
func (b *batch) shadow(a aim) string {
	if !a.addr.Addr().Unmap().IsLoopback() {
		return ""
	}
	for _, text := range b.answer.Self.Listeners {
		l, err := netip.ParseAddrPort(text)
		if err == nil && l.Port() == a.addr.Port() && covers(l.Addr(), a.addr.Addr()) {
			return text
		}
	}
	return ""
}

// covers reports whether a listener at l takes a connection to addr.
func covers(l, addr netip.Addr) bool {
	l, addr = l.Unmap(), addr.Unmap()
	if l.IsUnspecified() {
		return l.Is6() || addr.Is4() // :: takes IPv4 too unless it is told not to
	}
	return l == addr
}
