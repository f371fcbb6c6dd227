package probes

const (
	actBeside     = "beside"
	peerVM        = "net.tcp.peer-vm"
	crossPort     = "net.inbound.cross-vm-port"
	concurrent    = "life.concurrent"
	peerWhere     = "Where another sandbox may be put beside this one on the same engine."
	withoutPeer   = "the site has no way to put another sandbox beside its own"
	networkOfNone = "by its launch record the sandbox is on no network with others"
)

// besideProbes are asked while others of the sandbox's kind are up beside it.
var besideProbes = []Probe{
	{
		ID: peerVM, Family: "net.tcp", Severity: Critical, Expect: Contain, act: actBeside, lacks: peerless,
		What:    "Dial a listener in another sandbox of the same engine, published on the host's loopback, at every address under which it could be found.",
		Why:     "Two agents that can talk to each other share whatever either of them may reach.",
		Control: "The other sandbox's listener is dialled by the host before and after and writes down every nonce that comes; this sandbox's never does, and a twin's without the policy does.",
		Remedy:  policyRemedy + " Put sandboxes on no network with each other.",
		Source:  "n8n#127; libkrun#860 (guests share the host's loopback)", Where: peerWhere + " Where the engine publishes no port of a sandbox with a policy, not applicable.",
	},
	{
		ID: crossPort, Family: "net.inbound", Severity: Critical, Expect: Contain, act: actBeside, lacks: peerless,
		What:    "Listen on the same port of the loopback in two sandboxes, and have each dial itself eight times.",
		Why:     "Where guests share the host's loopback, what one says to itself arrives at another.",
		Control: "All eight arrive at home, and the other's listener, which is up before and after, has none of them. It is both guests' word, so it stays at assurance L1.",
		Remedy:  "Use an engine whose guests have a loopback of their own: libkrun with an engine-side map of listeners does not.",
		Source:  "libkrun#860", Where: peerWhere,
	},
	{
		ID: concurrent, Family: "life", Severity: High, Expect: Contain, act: actBeside, lacks: peerless, most: L2,
		What:    "While another sandbox runs that may reach another address, dial that one's allowed address from here and this one's from there.",
		Why:     "A policy that is kept by name, by slot or by address of the guest may be another guest's as soon as there are two.",
		Control: "Each sandbox has a nonce proved by its own allowed address before and after, in the same batch.",
		Remedy:  "Look at where the engine keeps the policy of each machine. Until that is mended run one at a time.",
		Source:  "httpjail (concurrent sandboxes)", Where: peerWhere,
	},
	{
		ID: "net.fabric.peer", Family: "net.fabric", Severity: Critical, Expect: Contain,
		What:    "Dial the other members of a network that the sandbox was put on, and those of one that it was not put on.",
		Why:     "smolvm hands packets between the members of a named network on before it asks the policy: the allowlist says nothing about them.",
		Control: "The launch record says which networks the sandbox is on.",
		Remedy:  "Take it off the network.",
		Source:  "smolvm stack.rs classify_guest_frame, fabric.rs", Where: "Where sandboxes are put on named networks. A bottle is put on none: not applicable.",
		aims: (*rig).fabricAims,
	},
}

func peerless(s Site) string {
	if s.Peer == nil {
		return s.withheld(withoutPeer)
	}
	return ""
}

func (r *rig) fabricAims() ([]aim, absence) {
	if len(r.site.Networks) == 0 {
		return nil, absence{why: networkOfNone}
	}
	return nil, absence{why: "nothing of ours can be put on the sandbox's networks to be dialled there", unproven: true}
}
