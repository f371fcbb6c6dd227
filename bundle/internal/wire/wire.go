// Package wire is what the host's side of a bundle and PID 1 inside it agree on: names of environment variables, the lines
// PID 1 logs, the JSON its subcommands print. Both sides come out of one build, so none of it has to stay stable.
package wire

import "net/netip"

// Environment variables read by PID 1. It hands each daemon those it needs and no others.
const (
	EnvDaemons      = "BOTTLE_BUNDLE_DAEMONS" // comma list of Proxy and Egress, empty = none
	EnvSecret       = "BOTTLE_ECHO_SECRET"    // hex, empty = echoes prove nothing
	EnvAllow        = "BOTTLE_PROXY_ALLOW"    // comma list of host globs, empty = deny all
	EnvProxyListen  = "BOTTLE_PROXY_LISTEN"   // ip:port, empty = ProxyListen
	EnvEgressListen = "BOTTLE_EGRESS_LISTEN"  // ip:port, empty = EgressListen
	EnvUpstream     = "BOTTLE_PROXY_UPSTREAM" // http URL of the egress hop, empty = EgressListen's
	EnvCanaryListen = "BOTTLE_CANARY_LISTEN"  // ip:port of a Canary kept beside the daemons, empty = none
)

// The daemons PID 1 knows.
const (
	Proxy  = "proxy"
	Egress = "egress"
)

// Canary is what a canary calls itself in its echoes. PID 1 keeps one beside the daemons where EnvCanaryListen says so: a bundle
// that is a machine has no stream that stays open, by whose end a canary could know its own, and in a container it is up without
// the exec that any other costs.
const Canary = "canary"

// Where the daemons listen unless told otherwise.
const (
	ProxyListen  = "0.0.0.0:8888"
	EgressListen = "127.0.0.1:9099"
)

// Lines PID 1 logs when it has come up; exactly one of them, once.
const (
	LineNone     = "no daemons selected" // a canary beside them answered its own echo
	LineReady    = "ready: "             // then the daemons, comma-separated: each answered its own echo, a canary beside them too
	LineNotReady = "not ready: "         // then why
)

// Known lists the daemons PID 1 knows.
func Known() []string { return []string{Egress, Proxy} }

// Listener is one socket that waits for peers in a bundle's network namespace.
type Listener struct {
	// Network is "tcp", "tcp6", "udp" or "udp6", as the kernel files the socket. A tcp6 socket on [::] may take IPv4 as well.
	Network string `json:"network"`
	// Addr is where it listens; an unspecified address means every address of the namespace.
	Addr netip.AddrPort `json:"addr"`
	// PID is the process that holds it, in the container's own numbering; 0 = not known, as for sockets of the container
	// engine (Docker's resolver on 127.0.0.11).
	PID int `json:"pid,omitempty"`
	// Command is that process' name, the subcommand included for bottle-bundle itself ("bottle-bundle daemon proxy"); empty
	// = not known.
	Command string `json:"command,omitempty"`
}

// CanaryUp is the first line a canary prints; one echo.Sighting per line follows.
type CanaryUp struct {
	Listen netip.AddrPort `json:"listen"`
}

// FromInside is where to dial, in the container, what listens on a: an unspecified address is reached on loopback.
func FromInside(a netip.AddrPort) netip.AddrPort {
	switch a.Addr() {
	case netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	case netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
	}
	return a
}

// A Confinement is what `bottle-bundle confinement` says of PID 1.
type Confinement struct {
	UID             int      `json:"uid"`               // the effective one; -1 is not known
	Capabilities    uint64   `json:"capabilities"`      // a mask of all that it has, or can get
	NoNewPrivileges bool     `json:"no_new_privileges"` // no program it starts has more
	Seccomp         int      `json:"seccomp"`           // 0 is no filter of its system calls
	ReadOnlyRoot    bool     `json:"read_only_root"`
	Sockets         []string `json:"sockets,omitempty"` // of container engines
}
