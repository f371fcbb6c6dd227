package bottletest

import "net/netip"

// Gateways are the addresses of this host that come and go with the bottles on it: a canary on one of them may not last.
func Gateways() []netip.Addr { return gatewaysBut("") }

// passing are the gateways of other bottles that are up on this host.
func (b *Bottle) passing() []netip.Addr { return gatewaysBut(b.plan.Slug) }

func gatewaysBut(slug string) []netip.Addr {
	all, err := records()
	if err != nil {
		return nil
	}
	var gateways []netip.Addr
	for _, r := range all {
		if r.Plan != nil && r.Slug != slug && r.Plan.Gateway.IsValid() {
			gateways = append(gateways, r.Plan.Gateway)
		}
	}
	return gateways
}
