package bottletest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"bottle.internal/smolvm"
)

// A Plan is what a launch is going to do: every name and address, decided before the first process starts. It is plain data.
type Plan struct {
	Slug     string         `json:"slug"`
	Machine  string         `json:"machine"`   // the guest's name; the container and its network carry the same one
	Engine   string         `json:"engine"`    // such as "smolvm 0.8.0 (simulated)"
	Backend  smolvm.Backend `json:"backend"`   // what a policy selects in this release
	Topology Topology       `json:"topology"`  // how the guest reaches the bundle
	Runtime  BundleRuntime  `json:"runtime"`   // what the bundle runs in
	Subnet   netip.Prefix   `json:"subnet"`    // the container's network; zero where the bundle is a machine
	Gateway  netip.Addr     `json:"gateway"`   // first address of Subnet, on the host's end of the bridge
	Bundle   netip.Addr     `json:"bundle"`    // where the guest dials the bundle; in topology bridge the second of Subnet, pinned
	Inside   netip.Addr     `json:"inside"`    // where the bundle's daemons that are open to the guest are reached inside it
	Allow    []netip.Prefix `json:"allowlist"` // all that the guest may reach: the /32 of Bundle
	// Ports maps ports of the bundle to those of Bundle. A port that is not in it is dialled as it is; in topology alias nothing
	// is published for it then.
	Ports map[uint16]uint16 `json:"ports,omitempty"`
	// Shared says that Bundle is an address that this host has for other ends as well.
	Shared bool `json:"shared,omitempty"`
	// Besides are destinations that this smolvm release is known to let through although nobody asked.
	Besides []netip.Prefix `json:"besides,omitempty"`
	// Policy is what is known of the guest's policy and how, and what the release lets through besides, in words; "" until the machine
	// is created. It is no statement about enforcement.
	Policy string `json:"policy,omitempty"`
	// Exposed says what else of this host was in the guest's reach at Bundle when the bottle was launched, a line each; only in
	// topology alias, where it is never empty.
	Exposed []string `json:"exposed,omitempty"`
	// Image is the guest's as it was named; "" is a bare guest. ImageDigest is its content and ImageRoad how smolvm gets at it, as in
	// Prepared; both are known once it is prepared.
	Image       string   `json:"image,omitempty"`
	ImageDigest string   `json:"image_digest,omitempty"`
	ImageRoad   Road     `json:"image_road,omitempty"`
	Daemons     []string `json:"daemons"`
	// Origin is what the proxy's list has for the probes' sake.
	Origin   Origin   `json:"origin,omitzero"`
	GuestEnv []string `json:"guest_env"` // KEY=VALUE, set on every Exec
}

const (
	// proxyPort is where the default bundle's proxy listens.
	proxyPort = 8888
	// canaryPort is where canaries listen in a bundle whose ports are published: what is published has to be known beforehand.
	canaryPort = 9797
)

// A Location is what a launch allocates for the bundle before it can plan.
type Location struct {
	Topology Topology      // "" is Bridge
	Runtime  BundleRuntime // "" is Container
	// Subnet is the container's network; zero with Machine.
	Subnet netip.Prefix
	// Alias is the bundle's address on this host and Ports the ports of it that the bundle's are published at; only with the
	// topology Alias.
	Alias netip.Addr
	Ports map[uint16]uint16
	// Shared says that Alias is not this bottle's alone.
	Shared bool
}

// NewPlan decides everything about the bottle called slug whose bundle is at the location, run by smolvm v. It is pure.
func NewPlan(cfg Config, slug string, at Location, v smolvm.Version) Plan {
	p := Plan{
		Slug:     slug,
		Machine:  resourceName(slug),
		Engine:   "smolvm " + v.String(),
		Backend:  v.PolicyBackend(),
		Topology: cmp.Or(at.Topology, Bridge),
		Runtime:  cmp.Or(at.Runtime, Container),
		Image:    cfg.Image,
		Daemons:  slices.Clone(cfg.Daemons),
	}
	if at.Subnet.IsValid() {
		p.Subnet = at.Subnet.Masked()
		p.Gateway = p.Subnet.Addr().Next()
		p.Inside = p.Gateway.Next()
		p.Bundle = p.Inside
	}
	if p.Topology == Alias {
		p.Bundle, p.Ports, p.Shared = at.Alias, maps.Clone(at.Ports), at.Shared
	}
	if p.Runtime == Machine {
		p.Inside = insideMachine(v, p.Bundle)
	}
	p.Origin = origin(cfg, p.Runtime, p.Gateway)
	p.Allow = []netip.Prefix{netip.PrefixFrom(p.Bundle, p.Bundle.BitLen())}
	p.Besides = besides(v, p.Bundle)
	p.GuestEnv = append(proxyEnv(cfg.Daemons, p.At(proxyPort)), cfg.Env...)
	return p
}

// insideMachine is where the daemons of a bundle that is a machine listen: on tsi the address they choose is the one that the
// host publishes them at, on virtio-net it is theirs.
func insideMachine(v smolvm.Version, alias netip.Addr) netip.Addr {
	if backend, _ := publishBackend(v); backend == smolvm.TSI {
		return alias
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// At is where the guest dials port of the bundle. In topology alias nothing of the bundle answers there unless the port is
// published.
func (p Plan) At(port uint16) netip.AddrPort {
	if mapped, ok := p.Ports[port]; ok {
		port = mapped
	}
	return netip.AddrPortFrom(p.Bundle, port)
}

// inside is where port of the bundle is dialled in the bundle itself, for a daemon that is open to the guest.
func (p Plan) inside(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(p.Inside, p.ListensOn(port))
}

// ListensOn is the number under which the bundle's daemon for port listens inside it: the host's in a machine on tsi, where a
// published port is dialled through the host even from inside (libkrun.h: under the guest's number, which then is the same).
func (p Plan) ListensOn(port uint16) uint16 {
	if p.Runtime == Machine && p.Inside == p.Bundle {
		return p.At(port).Port()
	}
	return port
}

// behind is where at, an address of the bundle as the guest dials it, is dialled in the bundle.
func (p Plan) behind(at netip.AddrPort) netip.AddrPort {
	for port, mapped := range p.Ports {
		if mapped == at.Port() {
			return p.inside(port)
		}
	}
	return netip.AddrPortFrom(p.Inside, at.Port())
}

// resourceName is what the machine, the container and the network of a bottle are called.
func resourceName(slug string) string { return "bottle-" + slug }

// besides is what the release adds to an allowlist of one private /32 without saying so: smolvm v0.8.0
// ensure_dns_in_cidrs appends 1.1.1.1/32, every port and protocol. From v0.8.1 to v1.1.2 it appends the host's own resolver,
// whose address is not known here. Where the whole list is loopback nothing is added.
func besides(v smolvm.Version, bundle netip.Addr) []netip.Prefix {
	if !v.AtLeast(0, 8, 1) && !bundle.IsLoopback() {
		return []netip.Prefix{netip.MustParsePrefix("1.1.1.1/32")}
	}
	return nil
}

// proxyEnv points a guest at the bundle's proxy. Clients differ in which spelling they read: curl takes http_proxy in lower
// case only. NO_PROXY names the bundle itself, or a client would ask the proxy for the proxy's own neighbours.
func proxyEnv(daemons []string, proxy netip.AddrPort) []string {
	if !slices.Contains(daemons, "proxy") {
		return nil
	}
	url := "http://" + proxy.String()
	direct := "localhost,127.0.0.1,::1," + proxy.Addr().String()
	var env []string
	for _, kv := range [][2]string{{"HTTP_PROXY", url}, {"HTTPS_PROXY", url}, {"NO_PROXY", direct}} {
		env = append(env, kv[0]+"="+kv[1], strings.ToLower(kv[0])+"="+kv[1])
	}
	return env
}

// Asked is the policy that the launch asks for, in words, as a report of the bottle has it.
func (p Plan) Asked() []string {
	var text []string
	for _, prefix := range p.Allow {
		text = append(text, "allow "+prefix.String())
	}
	return append(text, p.Origin.text()...)
}

// String is the plan as a person reads it: one line each.
func (p Plan) String() string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%-10s %v\n", name, value) }
	line("engine", p.Engine)
	line("backend", p.Backend)
	line("topology", p.Topology)
	line("machine", p.Machine)
	if p.Image != "" {
		line("image", fmt.Sprintf("%s, %s, by %s", p.Image, cmp.Or(p.ImageDigest, "content not known"), p.ImageRoad))
	}
	if p.Subnet.IsValid() {
		line("subnet", fmt.Sprintf("%s, gateway %s", p.Subnet, p.Gateway))
	}
	line("bundle", fmt.Sprintf("%s, daemons %q, in a %s", p.Bundle, p.Daemons, p.Runtime))
	for _, port := range slices.Sorted(maps.Keys(p.Ports)) {
		line("published", fmt.Sprintf("port %d at %s", port, p.At(port)))
	}
	line("allowlist", p.Allow)
	for _, text := range p.Origin.text() {
		line("origin", text)
	}
	for _, text := range p.Exposed {
		line("alias", text)
	}
	if len(p.Besides) > 0 {
		line("besides", fmt.Sprintf("%v (let through by this release although nobody asked)", p.Besides))
	}
	line("guest env", strings.Join(p.GuestEnv, " "))
	return b.String()
}

func (p Plan) json() []byte {
	b, _ := json.MarshalIndent(p, "", "  ") // strings and addresses only: cannot fail
	return append(b, '\n')
}
