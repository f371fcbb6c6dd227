//go:build linux

package vnet

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Backend is how smolvm does guest networking.
type Backend string

// The backends of smolvm 0.8.0 to 1.9.3.
const (
	TSI       Backend = "tsi"
	VirtioNet Backend = "virtio-net"
)

// Worlds that are no socket.
const (
	// WorldNone makes every address that is not the host's unreachable.
	WorldNone = ""
	// WorldOpen dials them. Nothing is hermetic then.
	WorldOpen = "open"
)

// Config says what a guest may reach. It is JSON, so that it can be handed to
// the process that prepares the guest's namespace; both ends need the same one.
// The zero value is not valid: a Backend is needed.
type Config struct {
	// Backend is the kind of network, TSI or VirtioNet.
	Backend Backend `json:"backend"`
	// Restrict puts a policy in force: only Allow is let through, and with an
	// empty Allow nothing is. False lets everything through but Floor.
	Restrict bool `json:"restrict,omitempty"`
	// Allow are the destinations let through, on every port and protocol. An
	// IPv6 prefix never matches an IPv4 destination, nor the other way round.
	Allow []netip.Prefix `json:"allow,omitempty"`
	// Hosts are names let through: they and what is below them resolve, no other
	// name does, and what they resolve to is allowed for a while. Empty filters no
	// names. [Resolver] finds the addresses that belong into Allow at the start.
	Hosts []string `json:"hosts,omitempty"`
	// InterceptDNS has the host answer every datagram to port 53 where there are
	// Hosts (tsi from smolvm 1.0.0; virtio-net always does, also without).
	InterceptDNS bool `json:"interceptDNS,omitempty"`
	// NameHost answers [HostName] with the gateway's address (smolvm 1.8.3).
	NameHost bool `json:"nameHost,omitempty"`
	// Floor are destinations denied whatever else is said.
	Floor []netip.Prefix `json:"floor,omitempty"`
	// HostGateway makes the gateway's address the host's loopback
	// (virtio-net from smolvm 1.7.2). The policy sees the gateway's address.
	HostGateway bool `json:"hostGateway,omitempty"`
	// FailFast resets a flow whose allowed destination is dead (virtio-net
	// from smolvm 1.9.0). False leaves it a black hole.
	FailFast bool `json:"failFast,omitempty"`
	// Publish are the guest's TCP ports that the host answers on. Where depends on
	// the backend: see PublishAt.
	Publish []Port `json:"publish,omitempty"`
	// PublishAt are the host's addresses that Publish is bound at, when the machine
	// starts. Empty is 127.0.0.1 and, where the host has it, ::1 on virtio-net
	// (smolvm v1.9.3 tcp_listeners.rs); on tsi it is the address that the guest's
	// program binds, when that listens (libkrun tsi_stream.rs).
	PublishAt []netip.Addr `json:"publishAt,omitempty"`
	// The defects that a simulated release can be given on purpose: the policy is
	// not applied to UDP, or not to IPv6, or the resolver has no filter.
	OpenUDP      bool `json:"openUDP,omitempty"`
	OpenIPv6     bool `json:"openIPv6,omitempty"`
	OpenResolver bool `json:"openResolver,omitempty"`
	// OpenPorts are destination ports that the policy is not asked about; Floor is.
	OpenPorts []uint16 `json:"openPorts,omitempty"`
	// AuditOnly logs what the policy denies and lets it through. On tsi, where the
	// guest's kernel denies, it is as good as no Restrict.
	AuditOnly bool `json:"auditOnly,omitempty"`
	// OpenFor is how long after the start there is AuditOnly only.
	OpenFor time.Duration `json:"openFor,omitempty"`
	// Lapse is how long there is a policy after it has stopped a number of flows;
	// then there is AuditOnly only. 0 is for good.
	Lapse time.Duration `json:"lapse,omitempty"`
	// FailOpen has AuditOnly while what is allowed takes connections and answers
	// nothing (virtio-net).
	FailOpen bool `json:"failOpen,omitempty"`
	// PublishUnasked has the host answer on every TCP port that the guest listens
	// on, at the address and port that it chose (tsi, as libkrun before 2505ab1).
	PublishUnasked bool `json:"publishUnasked,omitempty"`
	// FloodOpen has AuditOnly for the rest of a second in which it has stopped a
	// great many flows (virtio-net).
	FloodOpen bool `json:"floodOpen,omitempty"`
	// World is where flows go whose destination is not this host: WorldNone,
	// WorldOpen, or the path of a unix stream socket.
	World string `json:"world,omitempty"`
	// Machine is the machine's name, told to the world with every flow.
	Machine string `json:"machine,omitempty"`
}

// A Port is one published port. Neither number can be zero.
type Port struct {
	Host  uint16 `json:"host"`
	Guest uint16 `json:"guest"`
}

// The guest's addresses, those of smolvm's virtio-net (smolvm v1.9.3 network/stack.rs).
var (
	guestV4   = netip.MustParseAddr("100.96.0.2")
	gatewayV4 = netip.MustParseAddr("100.96.0.1")
	guestV6   = netip.MustParseAddr("fd53:4d00::2")
	gatewayV6 = netip.MustParseAddr("fd53:4d00::1")

	loopbackV4 = netip.MustParsePrefix("127.0.0.0/8")
	loopbackV6 = netip.MustParsePrefix("::1/128")
)

// linkMTU is the MTU of the TUN device, the largest a smolvm guest can use.
const linkMTU = 65520

// check refuses a Config that no network can be made of.
func (c Config) check() error {
	if c.Backend != TSI && c.Backend != VirtioNet {
		return fmt.Errorf("vnet: unknown backend %q, have %q and %q", c.Backend, TSI, VirtioNet)
	}
	for _, p := range append(append([]netip.Prefix{}, c.Allow...), c.Floor...) {
		if !p.IsValid() {
			return fmt.Errorf("vnet: invalid prefix in the policy of machine %q", c.Machine)
		}
	}
	for _, p := range c.Publish {
		if p.Host == 0 || p.Guest == 0 {
			return fmt.Errorf("vnet: port 0 cannot be published for machine %q", c.Machine)
		}
	}
	return nil
}

// allows reports whether the policy lets a flow to a through. The address is
// matched as the guest spelled it: no mapped form is unmapped, as in
// smolvm-network egress.rs.
func (c Config) allows(a netip.Addr) bool {
	switch {
	case c.floored(a):
		return false
	case !c.Restrict, c.OpenIPv6 && a.Is6():
		return true
	}
	return contains(c.Allow, a)
}

// opens reports whether the policy is not asked about a port.
func (c Config) opens(port uint16) bool { return slices.Contains(c.OpenPorts, port) }

// floored reports whether a is denied whatever else is said.
func (c Config) floored(a netip.Addr) bool { return contains(c.Floor, a) }

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}
