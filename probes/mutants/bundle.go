package mutants

import "bottle.internal/probes"

const (
	rules = "bundle/daemon/rules.go"
	proxy = "bundle/daemon/proxy.go"
)

// allowsAll is a proxy whose list is open; what is closed by nature is closed all the same.
var allowsAll = Source{File: rules, Old: `return verdict{false, "host-not-listed"}`, New: `return verdict{true, "mutant"}`}

// bundleMutants are sidecars that are not what they should be.
var bundleMutants = []Mutant{
	{
		Name: "egress-on-all-addresses", Kind: Bundle, On: on(virtio),
		Breaks:    "The hop that holds the credentials listens on 0.0.0.0, and the guest may dial every port of the bundle.",
		Reference: "lessons §1.1 egress-port-bypass; smolvm#744 (no port rules)",
		Edit:      Edit{Listen: map[string]string{"egress": "0.0.0.0:9099"}, Publish: []uint16{9099}},
		Kills:     []Kill{leaks("proxy.admin-surface")},
	},
	{
		Name: "egress-not-running", Kind: Bundle, On: on(virtio),
		Breaks:    "Nothing listens where the probe dials, so its refusal shows nothing.",
		Reference: "lessons §1.1: daemons_csv was empty and the probe of port 9099 green",
		Edit:      Edit{Daemons: []string{"proxy"}},
		Kills:     []Kill{unknown("proxy.admin-surface")},
	},
	{
		Name: "proxy-lists-loopback", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy's list spells out the sidecar's own loopback.",
		Reference: "pipelock SSRF; agent-egress-bench ssrf-bypass",
		Edit:      Edit{ProxyAllow: []string{"127.0.0.1:9099", "localhost:9099", "0.0.0.0:9099"}},
		Kills:     []Kill{leaks("proxy.ssrf", "proxy.ssrf.fetch", "proxy.ssrf.names")},
	},
	{
		Name: "proxy-allows-all", Kind: Bundle, On: on(virtio),
		Breaks:    "What is not on the proxy's list is let through.",
		Reference: "prior-art §5.3 (a proxy that allows all); srt managed-proxy tests",
		Edit:      Edit{Source: []Source{allowsAll}},
		Kills:     []Kill{leaks("proxy.deny.connect", "proxy.deny.http", "proxy.deny.methods", "proxy.hostname-parser", "proxy.smuggle", "proxy.deny.ip-literal")},
	},
	{
		Name: "proxy-guards-nothing", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy's list is open, nothing is closed by nature, and the other hop listens at the sidecar's own address.",
		Reference: "pipelock SSRF (bundle addresses); lessons §2.6",
		Edit: Edit{
			Source: []Source{allowsAll, {
				File: rules, Old: "func closedAddr(ip netip.Addr, own func(netip.Addr) bool) string {\n",
				New: "func closedAddr(ip netip.Addr, own func(netip.Addr) bool) string {\n\tif ip.IsValid() {\n\t\treturn \"\"\n\t}\n",
			}},
			Listen: map[string]string{"egress": "0.0.0.0:9099"}, Publish: []uint16{9099},
		},
		Kills: []Kill{leaks("proxy.ssrf", "proxy.ssrf.fetch", "proxy.ssrf.names", "proxy.ssrf.self")},
	},
	{
		Name: "proxy-tunnels-unasked", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy asks its list about requests, and not about tunnels.",
		Reference: "srt managed-proxy tests; prior-art proxy.deny.connect",
		Edit:      Edit{Source: []Source{{File: proxy, Old: "if v := judge(http.MethodConnect, ctx.Req.RemoteAddr, t, ok); !v.allow {", New: "if v := judge(http.MethodConnect, ctx.Req.RemoteAddr, t, ok); !v.allow && !ok {"}}},
		Kills:     []Kill{leaks("proxy.deny.connect", "proxy.hostname-parser", "proxy.deny.ip-literal")},
	},
	{
		Name: "proxy-fetches-unasked", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy asks its list about tunnels, and not about requests.",
		Reference: "srt managed-proxy tests; prior-art proxy.deny.http",
		Edit:      Edit{Source: []Source{{File: proxy, Old: "if v := judge(r.Method, r.RemoteAddr, t, ok); !v.allow {", New: "if v := judge(r.Method, r.RemoteAddr, t, ok); !v.allow && !ok {"}}},
		Kills:     []Kill{leaks("proxy.deny.http", "proxy.deny.methods", "proxy.upgrade")},
	},
	{
		Name: "proxy-asks-get-only", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy asks its list about GET, and forgets the other methods.",
		Reference: "agent-egress-bench; prior-art proxy.deny.methods",
		Edit:      Edit{Source: []Source{{File: proxy, Old: "if v := judge(r.Method, r.RemoteAddr, t, ok); !v.allow {", New: "if v := judge(r.Method, r.RemoteAddr, t, ok); !v.allow && r.Method == http.MethodGet {"}}},
		Kills:     []Kill{leaks("proxy.deny.methods")},
	},
	{
		Name: "proxy-follows-host-header", Kind: Bundle, On: on(virtio),
		Breaks:    "A request without a full address is sent where its Host header says, and nobody asks the list.",
		Reference: "gh-aw#8878; inspect_k8s#208; lessons §3 attack 2 (Host header spoof)",
		Edit: Edit{Source: []Source{{
			File: proxy, Old: "p.NonproxyHandler = newEchoes(s.Secret, j)",
			New: "echoes := newEchoes(s.Secret, j)\n\tp.NonproxyHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {\n" +
				"\t\tif _, port, err := net.SplitHostPort(r.Host); err != nil || port == \"8888\" || port == \"9099\" {\n\t\t\techoes.ServeHTTP(w, r)\n\t\t\treturn\n\t\t}\n" +
				"\t\tresp, err := http.Get(\"http://\" + r.Host + r.URL.Path)\n\t\tif err == nil {\n\t\t\t_ = resp.Body.Close()\n\t\t}\n\t})",
		}}},
		Kills: []Kill{leaks("proxy.host-mismatch")},
	},
	{
		Name: "proxy-nothing-listed", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy lets nothing through, so that whatever it denies it denies for free.",
		Reference: "melodic isolation-probe (an allowed host is reached first); house rules 5 (no negative without a positive control)",
		Edit:      Edit{Source: []Source{{File: rules, Old: "return verdict{true, r.text}\n\t\t}\n\t\thostListed", New: "return verdict{false, r.text}\n\t\t}\n\t\thostListed"}}},
		Kills:     []Kill{{Probes: []string{"proxy.allow.https"}, Verdict: probes.Overblocked}, unknown("proxy.sni-mismatch")},
	},
	{
		Name: "proxy-port-blind", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy's list is one of hosts: whatever port is asked for.",
		Reference: "tactics#315 (an allowlist without ports); prior-art proxy.deny.port",
		Edit:      Edit{Source: []Source{{File: rules, Old: "return r.port == port || r.port == 0 && (port == 80 || port == 443)", New: "return true"}}},
		Kills:     []Kill{leaks("proxy.deny.port")},
	},
	{
		Name: "proxy-name-blind", Kind: Bundle, On: on(virtio, virtioAlias),
		Breaks:    "Nobody looks at the name that is asked for inside a tunnel.",
		Reference: "gh-aw#8878; inspect_k8s#208 (domain fronting); prior-art proxy.sni-mismatch",
		Edit:      Edit{Source: []Source{{File: "bundle/daemon/tunnel.go", Old: `case err != nil || !whole || name != "" && !t.judge(name):`, New: `case err != nil || !whole || name != "" && !t.judge(name) && name == "":`}}},
		Kills:     []Kill{leaks("proxy.sni-mismatch")},
	},
	{
		Name: "proxy-rebound", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy holds the name against its list, and not the address that the name becomes.",
		Reference: "pipelock SSRF; smolvm K' dns_filter.rs (learned addresses, owner unchecked); prior-art net.dns.rebind",
		Edit:      Edit{Source: []Source{{File: proxy, Old: "v := s.Allow.guard(asked, ap, ownAddr)", New: "v := s.Allow.guard(asked, ap, func(netip.Addr) bool { return false })\n\t\t\tv = verdict{true, \"mutant\"}"}}},
		Kills:     []Kill{leaks("net.dns.rebind")},
	},
	{
		Name: "proxy-follows-redirects", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy goes where an answer sends its client, and asks its list about the first step only.",
		Reference: "CWE-918; agent-egress-bench; prior-art proxy.redirect",
		Edit: Edit{Source: []Source{{
			File: proxy, Old: "ctx.Error.Error())\n\t\t}\n\t\treturn resp",
			New: "ctx.Error.Error())\n\t\t}\n\t\tif resp != nil {\n\t\t\tif to, err := resp.Location(); err == nil {\n\t\t\t\tif r, err := http.Get(to.String()); err == nil {\n" +
				"\t\t\t\t\t_ = r.Body.Close()\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t\treturn resp",
		}}},
		Kills: []Kill{leaks("proxy.redirect")},
	},
	{
		Name: "proxy-refuses-as-anybody", Kind: Bundle, On: on(virtio),
		Breaks:    "The proxy's refusal is a page that anybody on the way could have made.",
		Reference: "glovebox#2188 (a block page taken for an answer); prior-art proxy.blockpage-identity",
		Edit:      Edit{Source: []Source{{File: proxy, Old: `code, "bottle: "+text+"\n")`, New: `code, "blocked\n")`}}},
		Kills:     []Kill{unknown("proxy.blockpage-identity")},
	},
	{
		Name: "bundle-published-everywhere", Kind: Container, On: on(virtioAlias),
		Breaks:    "The sidecar's ports are bound at every address of the host.",
		Reference: "docker publishes on 0.0.0.0 unless told otherwise; lessons §5 (-p :5000 exposes the registry to the LAN)",
		Edit:      Edit{Container: PublishedEverywhere},
		RefusedAt: "bundle",
	},
	{
		Name: "bundle-log-nowhere", Kind: Container, On: on(virtio),
		Breaks:    "The engine keeps nothing of what the sidecar prints, so that nobody sees whether it was silent.",
		Reference: "prior-art §4 C4: silence counts only where the log is known to work",
		Edit:      Edit{Container: LogNowhere},
		RefusedAt: "bundle",
	},
}
