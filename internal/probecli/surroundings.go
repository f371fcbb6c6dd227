package probecli

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"strings"
)

// hypervisor examines macOS's Hypervisor.framework, by the kernel's own word for it.
func hypervisor(ctx context.Context) examination {
	e := examination{Subject: "hypervisor", Fix: "smolvm needs Hypervisor.framework: a Mac with Apple silicon, and no VM without nested virtualization"}
	out, err := exec.CommandContext(ctx, "sysctl", "-n", "kern.hv_support").Output()
	switch answer := strings.TrimSpace(string(out)); {
	case err != nil:
		e.Found = err.Error()
	case answer != "1":
		e.Found = "kern.hv_support is " + answer
	default:
		e.OK, e.Found, e.Fix = true, "Hypervisor.framework", ""
	}
	return e
}

// addresses are where canaries can listen. Without one beside the loopback little of the network can be asked.
func addresses() examination {
	e := examination{Subject: "addresses"}
	all, err := net.InterfaceAddrs()
	if err != nil {
		e.Found = err.Error()
		return e
	}
	var own []string
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			own = append(own, p.Addr().String())
		}
	}
	if len(own) == 0 {
		e.Found, e.Fix = "none but the loopback's", "canaries want an address that a sandbox could reach: bring up an interface, or a container engine's bridge"
		return e
	}
	e.OK, e.Found = true, strings.Join(own, ", ")
	return e
}
