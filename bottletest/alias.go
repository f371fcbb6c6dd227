package bottletest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"bottle.internal/smolvm"
)

// An alias is the host address of one bottle in topology alias, as its record keeps it. The zero alias is none.
type alias struct {
	Addr netip.Addr `json:"addr"`
	// Label is set where the address is on the loopback interface for this bottle only, and goes with it: the label that it has
	// there, by which it can be told from one of somebody else's.
	Label string `json:"label,omitempty"`
	// Shared says that the address was this host's before and that others use it too.
	Shared bool `json:"shared,omitempty"`
	// Ports maps the bundle's ports to those of Addr.
	Ports map[uint16]uint16 `json:"ports,omitempty"`
}

var (
	// errNoAlias says that this host has no address for a bottle of its own.
	errNoAlias = errors.New("no address of this host is free for the bottle")
	// errMayNot says that this process may not give the host an address.
	errMayNot = errors.New("no right to add an address")
	// errTaken says that the host has the address already.
	errTaken = errors.New("the address is taken")
)

const (
	// The last bytes of 127.0.0.N that bottles use. Below are the addresses that distributions and people use by hand.
	firstLoopback, lastLoopback = 16, 254
	// systemd-resolved's stubs.
	resolvedStub, resolvedProxy = 53, 54
)

// aliasPool is where addresses for virtio-net guests are drawn from, whose own loopback 127/8 is: private space that neither
// Docker's default pools nor usual LANs nor the kit's bridges (10.77.0.0/16) use.
var aliasPool = netip.MustParsePrefix("10.78.0.0/16")

// loopbackAlias chooses an address of 127/8 for a guest on tsi, where the guest's loopback is the host's.
func loopbackAlias(host hostAddresses, taken []alias, ports wantedPorts) (alias, error) {
	var last error
	for _, a := range host.loopbacks() {
		if heldBy(taken, a) {
			continue
		}
		found, err := alias{Addr: a}.withPorts(ports, taken)
		if err == nil {
			return found, nil
		}
		last = err
	}
	return alias{}, errors.Join(fmt.Errorf("%w: %s", errNoAlias, host.hint(netip.AddrFrom4([4]byte{127, 0, 0, firstLoopback}))), last)
}

// privateAlias chooses an address for a guest on virtio-net: one added to the loopback interface for this bottle, or where that
// must not be done one that is there already. record is called before anything is changed.
func privateAlias(host hostAddresses, label string, taken []alias, ports wantedPorts, record func(alias) error) (alias, error) {
	for _, a := range host.candidates() {
		if heldBy(taken, a) {
			continue
		}
		added := alias{Addr: a, Label: label}
		if err := record(added); err != nil {
			return alias{}, err
		}
		switch err := host.add(a, label); {
		case err == nil:
			return added.withPorts(ports, taken)
		case errors.Is(err, errMayNot):
			return sharedAlias(host, taken, ports)
		case !errors.Is(err, errTaken):
			return alias{}, err
		}
	}
	return sharedAlias(host, taken, ports)
}

// sharedAlias takes an address that the host has. Where it belongs to nobody else, as one that a person put on the loopback
// interface for bottles, it is this bottle's alone while it lasts.
func sharedAlias(host hostAddresses, taken []alias, ports wantedPorts) (alias, error) {
	for _, a := range host.idle() {
		if !heldBy(taken, a) {
			return alias{Addr: a}.withPorts(ports, taken)
		}
	}
	if all := host.shared(); len(all) > 0 {
		return alias{Addr: all[0], Shared: true}.withPorts(ports, taken)
	}
	return alias{}, fmt.Errorf("%w: %s", errNoAlias, host.hint(aliasPool.Addr().Next()))
}

func heldBy(taken []alias, a netip.Addr) bool {
	return slices.ContainsFunc(taken, func(t alias) bool { return t.Addr == a })
}

// wantedPorts are the ports of a bundle to be published.
type wantedPorts struct {
	ports []uint16
	// moved says that none may keep its number: smolvm refuses to start a machine one of whose host ports another running
	// machine has, whatever the address.
	moved bool
}

// withPorts chooses a port of the address for each of the bundle's: the same number where that may be and nothing is bound
// there. On a shared address never: there a bundle's own numbers would be somebody else's sooner or later.
func (a alias) withPorts(want wantedPorts, taken []alias) (alias, error) {
	a.Ports = make(map[uint16]uint16, len(want.ports))
	var held []net.Listener // so that no port is chosen twice
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for _, p := range want.ports {
		l, err := a.bind(p, want.moved || a.Shared, taken)
		if err != nil {
			return alias{}, err
		}
		held = append(held, l)
		a.Ports[p] = netip.MustParseAddrPort(l.Addr().String()).Port()
	}
	return a, nil
}

// bind listens on the address, at port unless that must be moved or cannot be had. Ports that another bottle has recorded may
// not be bound yet.
func (a alias) bind(port uint16, moved bool, taken []alias) (net.Listener, error) {
	if !moved {
		if l, err := net.Listen("tcp4", netip.AddrPortFrom(a.Addr, port).String()); err == nil {
			return l, nil
		}
	}
	for range 64 {
		l, err := net.Listen("tcp4", netip.AddrPortFrom(a.Addr, 0).String())
		if err != nil {
			return nil, fmt.Errorf("binding a port of %s: %w", a.Addr, err)
		}
		got := netip.MustParseAddrPort(l.Addr().String()).Port()
		if !slices.ContainsFunc(taken, func(t alias) bool { return t.publishes(got) }) {
			return l, nil
		}
		_ = l.Close()
	}
	return nil, fmt.Errorf("binding a port of %s: every one that is free belongs to a bottle", a.Addr)
}

// publishes reports whether a host port of the bottle's has this number.
func (a alias) publishes(port uint16) bool {
	for _, p := range a.Ports {
		if p == port {
			return true
		}
	}
	return false
}

// claimAlias gives the bottle its address. The record says so before the address is used, so that Sweep finds it.
func (l *launch) claimAlias(ctx context.Context) error {
	return l.step(ctx, "alias", func(ctx context.Context) error {
		l.undo.push("alias", func(context.Context) error { return l.record.Alias.release() })
		return withAllocationLock(ctx, func() error {
			all, err := records()
			if err != nil {
				return err
			}
			var taken []alias
			for _, r := range all {
				if r.Slug != l.record.Slug && r.Alias.Addr.IsValid() {
					taken = append(taken, r.Alias)
				}
			}
			write := func(a alias) error {
				l.record.Alias = a
				return l.record.write()
			}
			a, err := l.chooseAlias(taken, write)
			if err != nil {
				return err
			}
			return write(a)
		})
	})
}

func (l *launch) chooseAlias(taken []alias, write func(alias) error) (alias, error) {
	ports := wantedPorts{l.cfg.publishedPorts(), l.runtime == Machine}
	if l.engine.version.PolicyBackend() == smolvm.TSI {
		return loopbackAlias(l.with.host, taken, ports)
	}
	return privateAlias(l.with.host, aliasLabel(l.record.Slug), taken, ports, write)
}

// aliasLabel is what an address of the bottle called slug is labelled with: the kernel wants the interface's name first and 15
// bytes at most, and the last of a slug are its random ones.
func aliasLabel(slug string) string { return "lo:b-" + slug[max(0, len(slug)-slugRandom):] }

// release takes the address from the host if it was added for the bottle. One that is gone is no error.
func (a alias) release() error {
	if a.Label == "" {
		return nil
	}
	return thisHost{}.remove(a.Addr, a.Label)
}

// hostAddresses are the addresses of a host, as far as topology alias is about them.
type hostAddresses interface {
	// loopbacks are the addresses of 127/8 that bottles may use, in the order to try them.
	loopbacks() []netip.Addr
	// candidates are addresses to add, in the order to try them; none where adding needs a person.
	candidates() []netip.Addr
	// add puts a /32 on the loopback interface, under label: errTaken if the host has or routes it, errMayNot without the right.
	add(a netip.Addr, label string) error
	// remove takes the address of that label away; none there is no error.
	remove(a netip.Addr, label string) error
	// idle are non-loopback addresses that are there for bottles and used by nothing else.
	idle() []netip.Addr
	// shared are non-loopback addresses in use, those that the fewest others can reach first.
	shared() []netip.Addr
	// hint tells a person what would make addr available, in one line.
	hint(addr netip.Addr) string
}
