package bottletest

import (
	"encoding/json"
	"fmt"
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
	Topology string         `json:"topology"`  // "bridge": the guest dials the container's own address
	Subnet   netip.Prefix   `json:"subnet"`    // the bundle's network
	Gateway  netip.Addr     `json:"gateway"`   // first address of Subnet, on the host's end of the bridge
	Bundle   netip.Addr     `json:"bundle"`    // second address of Subnet, pinned
	Allow    []netip.Prefix `json:"allowlist"` // all that the guest may reach: the /32 of Bundle
	// Besides are destinations that this smolvm release is known to let through although nobody asked.
	Besides  []netip.Prefix `json:"besides,omitempty"`
	Daemons  []string       `json:"daemons"`
	GuestEnv []string       `json:"guest_env"` // KEY=VALUE, set on every Exec
}

// proxyPort is where the default bundle's proxy listens.
const proxyPort = 8888

// topologyBridge is how the guest reaches the bundle: at the container's own address.
const topologyBridge = "bridge"

// NewPlan decides everything about the bottle called slug whose bundle lives on subnet, run by smolvm v. It is pure.
func NewPlan(cfg Config, slug string, subnet netip.Prefix, v smolvm.Version) Plan {
	gateway := subnet.Masked().Addr().Next()
	address := gateway.Next()
	return Plan{
		Slug:     slug,
		Machine:  resourceName(slug),
		Engine:   "smolvm " + v.String(),
		Backend:  v.PolicyBackend(),
		Topology: topologyBridge,
		Subnet:   subnet.Masked(),
		Gateway:  gateway,
		Bundle:   address,
		Allow:    []netip.Prefix{netip.PrefixFrom(address, address.BitLen())},
		Besides:  besides(v),
		Daemons:  slices.Clone(cfg.Daemons),
		GuestEnv: append(proxyEnv(cfg.Daemons, address), cfg.Env...),
	}
}

// resourceName is what the machine, the container and the network of a bottle are called.
func resourceName(slug string) string { return "bottle-" + slug }

// besides is what the release adds to an allowlist of one private /32 without saying so: smolvm v0.8.0
// ensure_dns_in_cidrs appends 1.1.1.1/32, every port and protocol. From v0.8.1 to v1.1.2 it appends the host's own resolver,
// whose address is not known here.
func besides(v smolvm.Version) []netip.Prefix {
	if !v.AtLeast(0, 8, 1) {
		return []netip.Prefix{netip.MustParsePrefix("1.1.1.1/32")}
	}
	return nil
}

// proxyEnv points a guest at the bundle's proxy. Clients differ in which spelling they read: curl takes http_proxy in lower
// case only. NO_PROXY names the bundle itself, or a client would ask the proxy for the proxy's own neighbours.
func proxyEnv(daemons []string, address netip.Addr) []string {
	if !slices.Contains(daemons, "proxy") {
		return nil
	}
	url := "http://" + netip.AddrPortFrom(address, proxyPort).String()
	direct := "localhost,127.0.0.1,::1," + address.String()
	var env []string
	for _, kv := range [][2]string{{"HTTP_PROXY", url}, {"HTTPS_PROXY", url}, {"NO_PROXY", direct}} {
		env = append(env, kv[0]+"="+kv[1], strings.ToLower(kv[0])+"="+kv[1])
	}
	return env
}

// String is the plan as a person reads it: one line each.
func (p Plan) String() string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%-10s %v\n", name, value) }
	line("engine", p.Engine)
	line("backend", p.Backend)
	line("topology", p.Topology)
	line("machine", p.Machine)
	line("subnet", fmt.Sprintf("%s, gateway %s", p.Subnet, p.Gateway))
	line("bundle", fmt.Sprintf("%s, daemons %q", p.Bundle, p.Daemons))
	line("allowlist", p.Allow)
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
