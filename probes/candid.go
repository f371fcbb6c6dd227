package probes

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"strings"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// candidProbes ask whether what a guest is told of the network is so, and what it is told of the host's.
var candidProbes = []Probe{
	{
		ID: "net.tcp.handshake-lie", Family: "net.tcp", Severity: Medium, Expect: Contain,
		What:    "Dial a canary on the host, and hold whether the guest is told that it is connected against whether the canary was dialled.",
		Why:     "A gateway that completes a handshake before it knows whether the policy lets it dial tells the guest that it got through. Programs wait for what never comes, and probes that go by connect() are wrong both ways.",
		Control: canaryControl + " A handshake without a byte is no denial here, though it may be one elsewhere.",
		Remedy:  "Have the gateway ask the policy before it answers the SYN.",
		Source:  "smolvm tcp_relay.rs (the handshake comes before the dial); libkrun smoltcp notes", Where: everywhere,
		aims: func(r *rig) ([]aim, absence) { return r.firstHost(func(a *aim) { a.wall = candidWall }) },
	},
	{
		ID: "net.dns.internal-names", Family: "net.dns", Severity: Medium, Expect: Contain, most: L1,
		What:    "Ask the guest's resolver for the names that the host's own hosts file has.",
		Why:     "A resolver that answers from the host's files draws the guest a map of the host's network: names of services, of other machines, and where they are.",
		Control: "The host's file has the names, with addresses that nobody else would answer with. The allowed destination echoes a nonce before and after in the same batch. That the answer is another is the guest's word, so it stays at assurance L1.",
		Remedy:  "Ask a resolver that knows nothing of the host, or none.",
		Source:  "sandy finding 9 (names of the host's network)", Where: worldWhere + " And where the host's hosts file has a name that is not of its loopback.",
		aims: (*rig).internalNameAims,
	},
}

// hostsPath is the host's list of names. A test has another.
var hostsPath = "/etc/hosts"

// maxInternal bounds the names that are asked for.
const maxInternal = 8

// internalNameAims ask for the names in the host's list.
func (r *rig) internalNameAims() ([]aim, absence) {
	text, err := os.ReadFile(hostsPath)
	if err != nil {
		return nil, absence{why: "the host's names cannot be read: " + err.Error()}
	}
	names := internalNames(string(text))
	if len(names) == 0 {
		return nil, absence{why: "the host's " + hostsPath + " has no name that is not of its loopback"}
	}
	var aims []aim
	for _, n := range names[:min(maxInternal, len(names))] {
		if w := r.site.World; w != nil {
			w.asked.add(n.name)
		}
		some, none := r.worldAims(func(a *aim) {
			overUDP(a)
			a.method, a.wall, a.post, a.reads = agent.Resolver, kernelWall, nil, readAnswer
			a.send = func(echo.Nonce) [][]byte { return [][]byte{nameQuestion(n.name)} }
			a.shows = func(reply []byte) string {
				if !slices.Contains(addressesIn(reply), n.addr) {
					return ""
				}
				return "the guest's resolver knows " + n.name + " of the host's " + hostsPath + " to be " + n.addr.String()
			}
		}, resolverPort)
		if none.why != "" {
			return nil, none
		}
		aims = append(aims, some...)
	}
	return aims, absence{}
}

// An internalName is a name in the host's list.
type internalName struct {
	name string
	addr netip.Addr
}

// internalNames are those of a hosts file whose IPv4 address is not loopback.
func internalNames(text string) []internalName {
	var all []internalName
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(f[0])
		if err != nil || !addr.Is4() || addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() {
			continue
		}
		for _, name := range f[1:] {
			if q, err := parseQuery(nameQuestion(name)); err == nil && q.name == strings.ToLower(name) {
				all = append(all, internalName{name, addr})
			}
		}
	}
	return all
}

// nameQuestion is a query for the address of name.
func nameQuestion(name string) []byte {
	b := []byte{0x42, 0x54, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0} // recursion desired; one question
	for label := range strings.SplitSeq(strings.Trim(name, "."), ".") {
		label = label[:min(len(label), 63)]
		b = append(append(b, byte(len(label))), label...)
	}
	const class = 1
	b = binary.BigEndian.AppendUint16(append(b, 0), typeA)
	return binary.BigEndian.AppendUint16(b, class)
}

// readAnswer is Unresolved for a DNS answer, whatever is in it: what must not be is looked for before. "" is no answer at all.
func readAnswer(b []byte) Observation {
	const head, response = 12, 0x80
	if len(b) < head || b[2]&response == 0 {
		return ""
	}
	return Unresolved
}

// addressesIn are the IPv4 addresses among the records of a DNS answer.
func addressesIn(b []byte) []netip.Addr {
	var all []netip.Addr
	record := []byte{0, 1, 0, 1} // A, IN; then a TTL, and four bytes
	for at := 0; ; {
		i := bytes.Index(b[at:], record)
		if i < 0 || at+i+14 > len(b) {
			return all
		}
		at += i + len(record)
		if binary.BigEndian.Uint16(b[at+4:]) == 4 {
			all = append(all, netip.AddrFrom4([4]byte(b[at+6:at+10])))
		}
	}
}
