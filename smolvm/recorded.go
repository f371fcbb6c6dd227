package smolvm

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
)

// A Recorded is what smolvm's own record says of a machine's network, as far as its API tells it.
type Recorded struct {
	// Network says that the machine has one.
	Network bool
	// Backend is the one that was asked for by name; "" is none, or not told.
	Backend Backend
	// AllowCIDRs is the policy. Told says that the record tells of one: it does from 1.3.0 on, of a machine that has a policy.
	AllowCIDRs []netip.Prefix
	Told       bool
}

// Recorded reads the machine's record, by a server of smolvm's that lives for this call only. ErrNotFound if there is none.
func (c *Client) Recorded(ctx context.Context, name string) (Recorded, error) {
	if err := checkName(name); err != nil {
		return Recorded{}, err
	}
	v, err := c.release(ctx)
	if err != nil {
		return Recorded{}, err
	}
	ctx, release := context.WithTimeoutCause(ctx, createLimit, fmt.Errorf("%w: it took more than %s", context.DeadlineExceeded, createLimit))
	defer release()
	var record apiMachine
	err = c.withServer(ctx, v, func(a *api) error { return a.do(ctx, http.MethodGet, "/api/v1/machines/"+name, nil, &record) })
	if err != nil {
		return Recorded{}, fmt.Errorf("reading the record of %q: %w", name, err)
	}
	r := Recorded{Network: record.Network, Backend: record.NetworkBackend, Told: record.AllowedCIDRs != nil}
	for _, text := range canonical(record.AllowedCIDRs) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return Recorded{}, fmt.Errorf("reading the record of %q: the allowed %q is no CIDR", name, text)
		}
		r.AllowCIDRs = append(r.AllowCIDRs, p)
	}
	return r, nil
}
