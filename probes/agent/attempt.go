package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bottle.internal/internal/echo"
)

// A Network names what an attempt is made with: a kind of socket, or none for a look at the guest itself.
type Network string

// The networks.
const (
	TCP4  Network = "tcp4"  // AF_INET stream
	TCP6  Network = "tcp6"  // AF_INET6 stream; the address may be an IPv4-mapped one
	UDP4  Network = "udp4"  // AF_INET datagram
	UDP6  Network = "udp6"  // AF_INET6 datagram
	ICMP4 Network = "icmp4" // an echo request whose payload is Send, or the nonce's datagram form
	ICMP6 Network = "icmp6"
	Unix  Network = "unix"  // AF_UNIX stream at Path; "@" begins an abstract name
	VSOCK Network = "vsock" // AF_VSOCK stream to CID and VPort
	Serve Network = "serve" // the guest listens at Addr, and at Also, and reports the nonces that arrive until its budget is gone, or Send's arrives
	Look  Network = "look"  // no socket: How says what is looked at
)

// A Method is how an attempt is made. The zero Method is the plain one: a fresh socket, connect, send, receive; for udp sendto
// and receive without a connect. Which methods a network has is in methods.
type Method string

// The methods of sockets.
const (
	Connected  Method = "connected"   // udp: connect, then send
	FamilyZero Method = "family-zero" // udp: sendto an address of family 0, which Linux takes as IPv4
	SameSocket Method = "same-socket" // udp: sendto Also first, then Addr on the same socket; tcp: connect Also first, then Addr on the same socket
	Batched    Method = "batched"     // udp: one sendmmsg to Also and to Addr
	Multicast  Method = "multicast"   // udp: join the group Addr, send there, and hear
	Broadcast  Method = "broadcast"   // udp: with SO_BROADCAST
	Unspec     Method = "unspec"      // tcp: connect Also, connect to AF_UNSPEC, connect Addr
	FastOpen   Method = "fast-open"   // tcp: sendto with MSG_FASTOPEN
	IOUring    Method = "io-uring"    // tcp: connect, send the first message and receive by io_uring
	OwnNetNS   Method = "own-netns"   // tcp, udp: from a fresh network namespace, in which nothing is up
	Source     Method = "source"      // tcp: bound to Also, an address that is added to the guest first
	SelfConfig Method = "self-config" // tcp6: bound to Also, an address that the guest gives itself first, with a route to Addr of its own
	Race       Method = "race"        // tcp: a thread flips the address between Also and Addr during connect, Count times; see Tally
	Route      Method = "route"       // tcp: after the guest's routes were changed to lead over Also, or over nothing, on each interface
	Raw        Method = "raw"         // icmp: a raw socket instead of a datagram one
	Link       Method = "link"        // ipv4 frame to Addr by AF_PACKET on every interface
	Resolver   Method = "resolver"    // udp, tcp: Addr's port at each nameserver of resolv.conf that has Addr's family
	Named      Method = "named"       // tcp: the address that the guest has for the name in Path, at Addr's port
	Sweep      Method = "sweep"       // vsock: every port of VPort to VPortTo
	Exhaust    Method = "exhaust"     // tcp: hold Count flows to Also, then dial Addr
	Flood      Method = "flood"       // tcp: dial Addr, then Count times as fast as it goes, then once more
	RawIP      Method = "raw-ip"      // udp: an IPv4 packet of the agent's own making, by a raw socket
	ExtHeaders Method = "ext-headers" // udp6: behind a destination-options header
)

// The methods of a look. Path is what is looked at.
const (
	Read       Method = "read"       // the content of a file
	List       Method = "list"       // the names in a directory, with their link targets
	Write      Method = "write"      // append the nonce to an existing file
	Create     Method = "create"     // create a file with the nonce, then remove it
	Leave      Method = "leave"      // create a file with the nonce, sync it, and leave it there
	FollowLink Method = "follow"     // plant a symbolic link to Path in Dir and read through it
	HardLink   Method = "hard-link"  // plant a hard link to Path beside it, or in Dir, and read through it
	Search     Method = "search"     // find text that begins with Path in environments, command lines, the kernel's command line and log
	Sockets    Method = "sockets"    // unix sockets in the usual directories, and what /proc/net/unix tells
	Families   Method = "families"   // socket() over all families and types; the ones that succeed
	Mounts     Method = "mounts"     // /proc/self/mountinfo
	Privileges Method = "privileges" // uid, gid, capabilities, no_new_privs, seccomp, set-id programs
	SysCall    Method = "syscall"    // one call named in Path that only the privileged may make; harmless where it is allowed
	Devices    Method = "devices"    // device nodes, and whether mknod of one and opening it works
	Processes  Method = "processes"  // processes that can be seen, with their roots
	Limits     Method = "limits"     // cgroup and rlimit bounds
	FDs        Method = "fds"        // inherited descriptors that are sockets
)

// An Attempt is one dial or one look. Attempts of one phase run side by side; a phase begins when the phase before has ended.
type Attempt struct {
	ID       string         `json:"id"` // unique in the batch; it tells the guest nothing
	Network  Network        `json:"network"`
	Method   Method         `json:"method,omitempty"`
	Addr     netip.AddrPort `json:"addr"`               // a zone is the guest's interface number
	Also     netip.AddrPort `json:"also,omitzero"`      // the second address of a method that has two
	Path     string         `json:"path,omitempty"`     // of a unix socket, or what is looked at
	CID      uint32         `json:"cid,omitempty"`      // vsock
	VPort    uint32         `json:"vport,omitempty"`    // vsock
	VPortTo  uint32         `json:"vport_to,omitempty"` // vsock, with Sweep
	Count    int            `json:"count,omitempty"`    // of a method that repeats
	Send     [][]byte       `json:"send,omitempty"`     // what is sent; nil is the nonce in echo's form. See Attempt.Messages
	Nonce    echo.Nonce     `json:"nonce"`
	BudgetMS int            `json:"budget_ms"`           // from the first system call to the last byte of the answer
	ListenMS int            `json:"listen_ms,omitempty"` // how long a listener goes on once the guest's own dial has come; 0 is until the budget is gone
	Phase    int            `json:"phase"`
	DelayMS  int            `json:"delay_ms,omitempty"` // waited after the phase began
	After    string         `json:"after,omitempty"`    // an attempt of an earlier phase; with When
	When     Condition      `json:"when,omitempty"`
}

// Budget is how long the attempt may take.
func (a Attempt) Budget() time.Duration { return time.Duration(a.BudgetMS) * time.Millisecond }

// Delay is how long the attempt waits after its phase began.
func (a Attempt) Delay() time.Duration { return time.Duration(a.DelayMS) * time.Millisecond }

// Listen is how long a listener goes on once the guest's own dial has come, the rest of the budget at the most.
func (a Attempt) Listen() time.Duration {
	if a.ListenMS == 0 {
		return a.Budget()
	}
	return time.Duration(a.ListenMS) * time.Millisecond
}

// Messages are what is sent, in order. On a stream each but the first is sent only if an answer to the one before came whose
// head, up to an empty line, has the HTTP status 200: so a proxy is asked for a tunnel, and what is meant for the far end does
// not go to a proxy that refused.
func (a Attempt) Messages() [][]byte {
	switch {
	case len(a.Send) > 0:
		return slices.Clone(a.Send)
	case a.datagram():
		return [][]byte{echo.Datagram(a.Nonce)}
	}
	return [][]byte{echo.Request(a.Nonce)}
}

// Reports reports whether a reply to a is what the agent itself found, and no peer's answer.
func (a Attempt) Reports() bool {
	return a.Network == Look || a.Network == Serve || a.Method == Sweep || a.Method == Race
}

func (a Attempt) datagram() bool {
	return a.Network == UDP4 || a.Network == UDP6 || a.Network == ICMP4 || a.Network == ICMP6
}

// methods are what each network can do beside the plain way. The plain way is always there, except that a look always names one.
var methods = map[Network][]Method{
	TCP4:  {SameSocket, Unspec, FastOpen, IOUring, OwnNetNS, Source, Race, Route, Resolver, Exhaust, Flood, Named},
	TCP6:  {FastOpen, IOUring, OwnNetNS, Resolver, SelfConfig},
	UDP4:  {Connected, FamilyZero, SameSocket, Batched, Multicast, Broadcast, Resolver, OwnNetNS, Link, RawIP},
	UDP6:  {Connected, Multicast, Resolver, ExtHeaders},
	ICMP4: {Raw},
	ICMP6: {Raw},
	Unix:  nil,
	VSOCK: {Sweep},
	Serve: nil,
	Look: {Read, List, Write, Create, Leave, FollowLink, HardLink, Search, Sockets, Families, Mounts, Privileges, SysCall, Devices, Processes,
		Limits, FDs},
}

const (
	maxPath  = 4096
	maxSend  = 16
	maxCount = 1024
)

func (a Attempt) validate(before map[string]int) error {
	if a.ID == "" || len(a.ID) > maxIDLen {
		return fmt.Errorf("an id has 1 to %d bytes", maxIDLen)
	}
	if _, dup := before[a.ID]; dup {
		return errors.New("this id is used twice")
	}
	if !a.Nonce.Valid() {
		return fmt.Errorf("%q is no nonce", a.Nonce)
	}
	if a.BudgetMS <= 0 || a.Budget() > MaxBudget {
		return fmt.Errorf("budget of %d ms: want more than none and at most %s", a.BudgetMS, MaxBudget)
	}
	if a.ListenMS < 0 || a.ListenMS > a.BudgetMS || a.ListenMS > 0 && a.Network != Serve {
		return fmt.Errorf("listening for %d of %d ms over %q: want none below 0 and none above, and a listener", a.ListenMS, a.BudgetMS, a.Network)
	}
	if a.Phase < 0 || a.DelayMS < 0 || a.Delay() > MaxBudget {
		return fmt.Errorf("phase %d, delay %d ms: want none below 0, and a delay of at most %s", a.Phase, a.DelayMS, MaxBudget)
	}
	if len(a.Path) > maxPath || len(a.Send) > maxSend || a.Count < 0 || a.Count > maxCount {
		return fmt.Errorf("a path of %d bytes, %d messages, count %d: too much", len(a.Path), len(a.Send), a.Count)
	}
	if slices.ContainsFunc(a.Send, func(m []byte) bool { return len(m) == 0 }) {
		return errors.New("an empty message")
	}
	for _, check := range []func() error{a.validateMethod, a.validateTarget, a.validateAlso} {
		if err := check(); err != nil {
			return err
		}
	}
	return a.validateCondition(before)
}

func (a Attempt) validateMethod() error {
	all, known := methods[a.Network]
	if !known {
		return fmt.Errorf("unknown network %q", a.Network)
	}
	if a.Method == "" && a.Network != Look {
		return nil
	}
	for _, m := range all {
		if m == a.Method {
			return nil
		}
	}
	return fmt.Errorf("%q has no method %q", a.Network, a.Method)
}

func (a Attempt) validateTarget() error {
	switch a.Network {
	case Unix:
		if a.Path == "" {
			return errors.New("a unix socket has a path")
		}
		return nil
	case VSOCK:
		if a.VPortTo != 0 && a.VPortTo < a.VPort {
			return fmt.Errorf("ports %d to %d", a.VPort, a.VPortTo)
		}
		return nil
	case Look:
		return nil
	}
	if a.Method == Named && !isName(a.Path) {
		return fmt.Errorf("%q is no name", a.Path)
	}
	return a.validateAddr()
}

// isName reports whether s can be asked for: labels of 1 to 63 bytes, joined by dots.
func isName(s string) bool {
	if s == "" || len(s) > 250 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}

func (a Attempt) validateAddr() error {
	addr := a.Addr.Addr()
	portless := a.Network == ICMP4 || a.Network == ICMP6
	if !a.Addr.IsValid() || (a.Addr.Port() == 0 && !portless) {
		return fmt.Errorf("%q: want an IP address and a port", a.Addr)
	}
	four := a.Network == TCP4 || a.Network == UDP4 || a.Network == ICMP4
	if a.Network != Serve && four != addr.Is4() {
		return fmt.Errorf("%q is no address of %s", addr, a.Network)
	}
	if zone := addr.Zone(); zone != "" {
		if _, err := strconv.ParseUint(zone, 10, 32); err != nil {
			return fmt.Errorf("%q: a zone is the number of an interface in the guest", addr)
		}
	}
	return nil
}

// validateAlso checks the second address of the methods that have one: an IPv4 one with a port, but for the ones that do not dial it.
func (a Attempt) validateAlso() error {
	if a.Method == SelfConfig && !a.Also.Addr().Is6() {
		return fmt.Errorf("%q is no second address for %q", a.Also, a.Method)
	}
	portless := a.Method == Source || a.Method == Route
	if !portless && !slices.Contains([]Method{SameSocket, Batched, Unspec, Race, Exhaust}, a.Method) {
		return nil
	}
	if !a.Also.Addr().Is4() || a.Also.Port() == 0 && !portless {
		return fmt.Errorf("%q is no second address for %q", a.Also, a.Method)
	}
	return nil
}

func (a Attempt) validateCondition(before map[string]int) error {
	if a.After == "" && a.When == "" {
		return nil
	}
	if a.When != WhenFiltered && a.When != WhenNotReachable {
		return fmt.Errorf("unknown condition %q", a.When)
	}
	if phase, ok := before[a.After]; !ok || phase >= a.Phase {
		return fmt.Errorf("after %q: that is no attempt of an earlier phase", a.After)
	}
	return nil
}
