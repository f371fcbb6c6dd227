package probes

import "bottle.internal/probes/agent"

type judgeCase struct {
	name  string
	start *question
	edit  func(q *question, t *trial)
	want  Verdict
	names string // the control that the reason must name first, "" for none
	level Assurance
}

var containCases = []judgeCase{
	{"tsi, everything stands", sound(TSI), nil, Contained, "", L2},
	{"virtio-net, everything stands, nobody says who stopped it", sound(VirtioNet), nil, Contained, "", L1},
	{"an unknown backend, everything stands", sound(""), nil, Contained, "", L1},
	{"an unheard-of backend is judged as an unknown one", sound("passt"), nil, Contained, "", L1},

	{"no agent but a shell, everything stands", sound(TSI), func(q *question, _ *trial) { q.weak = "by a shell" }, Contained, "", L1},
	{"no agent but a shell, and all witnesses", sound(TSI), func(q *question, t *trial) {
		q.weak, q.kills, q.kit, t.flip = "by a shell", []string{"m"}, "k", held("twin")
	}, Contained, "", L1},
	{"what a shell cannot make was not made", sound(TSI), func(q *question, t *trial) {
		q.weak = "by a shell"
		t.attempts[1].Stage, t.attempts[1].Observation = agent.StageUnfinished, ProbeError
	}, Inconclusive, "C0", L1},
	{"a shell without a tool that works", sound(TSI), func(q *question, t *trial) {
		q.weak, q.self = "by a shell", failed("no tool")
		t.attempts[0].Stage, t.attempts[0].Observation = agent.StageUnfinished, ProbeError
	}, Inconclusive, "C0", L0},
	{"an agent that did not finish", sound(TSI), func(_ *question, t *trial) {
		t.attempts[0].Stage, t.attempts[0].Observation = agent.StageUnfinished, ProbeError
	}, Error, "", ""},

	{"lying agent: claims denied, the canary saw it", sound(TSI), func(_ *question, t *trial) { t.attempts[0].Sightings = seen(1) }, Leak, "", L1},
	{"one of two attempts leaked", sound(TSI), func(_ *question, t *trial) { t.attempts[1].Sightings = seen(2) }, Leak, "", L1},
	{"only the second look leaked", sound(""), func(_ *question, t *trial) {
		late := slow(tried(1, OneWay, ""))
		late.Sightings = seen(1)
		t.attempts = []Attempt{tried(1, Filtered, ""), late, tried(2, Filtered, ""), slow(tried(2, Filtered, ""))}
	}, Leak, "", L1},
	{"one-way: arrived, nothing came back", sound(TSI), func(_ *question, t *trial) {
		t.attempts[0] = tried(1, OneWay, "")
		t.attempts[0].Sightings = seen(1)
	}, Leak, "", L1},
	{"a sighting outweighs every failed control", sound(TSI), func(q *question, t *trial) {
		q.self, q.path, t.before, t.after, t.log = failed("no"), failed("no"), failed("no"), failed("no"), failed("no")
		t.attempts[1].Sightings = seen(2)
	}, Leak, "", L0},
	{"a sighting outweighs an agent that crashed", sound(TSI), func(q *question, t *trial) {
		q.fault = "the agent could not be run"
		q.self, q.path = notChecked("no answer"), notChecked("no answer")
		t.attempts[0].Fault, t.attempts[0].Sightings = q.fault, seen(1)
	}, Leak, "", L0},
	{"a proof came back, the log missed it", sound(TSI), func(_ *question, t *trial) {
		t.attempts[0] = tried(1, Reachable, "")
		t.attempts[0].Proved = true
	}, Leak, "", L1},
	{"lying agent: asks the allowed listener with the nonce of a denial", sound(TSI), func(_ *question, t *trial) {
		t.attempts[0] = tried(1, Reachable, "")
		t.attempts[0].Proved, t.attempts[0].Elsewhere = true, seen(1)
	}, Inconclusive, "", L1},
	{"the nonce of a denial arrived at the allowed listener", sound(TSI), func(_ *question, t *trial) { t.attempts[1].Elsewhere = seen(2) }, Inconclusive, "", L2},
	{"lying agent: claims reach, no proof, nothing seen", sound(TSI), func(_ *question, t *trial) {
		t.attempts[0] = tried(1, Intercepted, "")
		t.attempts[0].Claimed, t.attempts[0].Forged = Reachable, true
	}, Inconclusive, "", L1},
	{"block page", sound(VirtioNet), func(_ *question, t *trial) {
		t.attempts[0] = tried(1, Intercepted, "")
		t.attempts[0].Reply = "HTTP/1.1 200 OK\\r\\n\\r\\nblocked"
	}, Inconclusive, "", L1},

	{"result missing", sound(TSI), func(_ *question, t *trial) {
		t.attempts[1].Fault, t.attempts[1].Observation = "not answered", ProbeError
	}, Error, "", ""},
	{"result given twice", sound(TSI), func(_ *question, t *trial) {
		t.attempts[0].Fault, t.attempts[0].Observation = "answered more than once", ProbeError
	}, Error, "", ""},
	{"the guest's output is no answer", sound(TSI), func(q *question, t *trial) {
		q.fault, q.self, q.path = "not an answer", notChecked("no answer"), notChecked("no answer")
	}, Error, "", ""},
	{"no attempts at all", sound(TSI), func(_ *question, t *trial) { t.attempts = nil }, Error, "", ""},
	{"no trials at all", sound(TSI), func(q *question, _ *trial) { q.trials = nil }, Error, "", ""},
	{"the guest ran out of descriptors", sound(TSI), func(_ *question, t *trial) { t.attempts[1] = tried(2, ProbeError, "EMFILE") }, Error, "", ""},

	{"C0 failed", sound(TSI), func(q *question, _ *trial) { q.self = failed("no echo") }, Inconclusive, "C0", L0},
	{"C1 failed before", sound(TSI), func(_ *question, t *trial) { t.before = failed("dead") }, Inconclusive, "C1", L0},
	{"C1 failed after: the canary died in between", sound(TSI), func(_ *question, t *trial) { t.after = failed("dead") }, Inconclusive, "C1", L0},
	{"C1 not checked", sound(VirtioNet), func(_ *question, t *trial) { t.before, t.after = notChecked("nobody"), notChecked("nobody") }, Inconclusive, "C1", L0},
	{"C2 failed", sound(TSI), func(q *question, _ *trial) { q.path = failed("half-way") }, Inconclusive, "C2", L0},
	{"C2 not checked", sound(TSI), func(q *question, _ *trial) { q.path = notChecked("no allowed target") }, Inconclusive, "C2", L0},
	{"the guest has no network", sound(TSI), func(q *question, t *trial) {
		q.path = failed("unreachable")
		t.attempts = []Attempt{tried(1, Unreachable, "ENETUNREACH"), tried(2, Unreachable, "ENETUNREACH")}
	}, Inconclusive, "C2", L0},
	{"a guest listener shadows the host's", sound(TSI), func(_ *question, t *trial) { t.shadow = "127.0.0.1:4711" }, Inconclusive, "C1", L2},
	{"the log cannot be read", sound(TSI), func(_ *question, t *trial) { t.log = failed("unreadable") }, Inconclusive, "C4", L1},
	{"no log, and an errno that anything gives", sound(VirtioNet), func(_ *question, t *trial) { t.log = notChecked("none") }, Inconclusive, "C4", L1},
	{"no log, and an errno that only the policy gives", sound(TSI), func(_ *question, t *trial) { t.log = notChecked("none") }, Contained, "", L1},
	{"somebody was at the canary without a nonce", sound(TSI), func(_ *question, t *trial) { t.strangers = []Stranger{{Peer: "192.0.2.1:1"}} }, Inconclusive, "C4", L1},
	{"the same on virtio-net", sound(VirtioNet), func(_ *question, t *trial) { t.strangers = []Stranger{{Peer: "192.0.2.1:1"}} }, Inconclusive, "C4", L1},

	{"refused, no canary up", sound(VirtioNet), func(_ *question, t *trial) {
		t.absent, t.before, t.after, t.log = "port taken", outcome{}, outcome{}, outcome{}
	}, Inconclusive, "C1", L0},
	{"refused on tsi, no canary up", sound(TSI), func(_ *question, t *trial) {
		t.absent, t.before, t.after, t.log = "port taken", outcome{}, outcome{}, outcome{}
		t.attempts = denials(VirtioNet)
	}, Inconclusive, "C1", L0},
	{"EACCES on tsi, no canary up", sound(TSI), func(_ *question, t *trial) {
		t.absent, t.before, t.after, t.log = "port taken", outcome{}, outcome{}, outcome{}
	}, Contained, "", L0},
	{"EACCES once only, no canary up", sound(TSI), func(_ *question, t *trial) {
		t.absent, t.before, t.after, t.log = "port taken", outcome{}, outcome{}, outcome{}
		t.attempts[1] = tried(2, Refused, "ECONNREFUSED")
	}, Inconclusive, "C1", L0},

	{"handshake-only on virtio-net", sound(VirtioNet), func(_ *question, t *trial) { t.attempts[0] = tried(1, HandshakeOnly, "") }, Contained, "", L1},
	{"handshake-only on tsi", sound(TSI), func(_ *question, t *trial) { t.attempts[0] = tried(1, HandshakeOnly, "") }, Inconclusive, "", L1},
	{"handshake-only on an unknown backend", sound(""), func(_ *question, t *trial) { t.attempts[0] = tried(1, HandshakeOnly, "") }, Inconclusive, "", L1},
	{"refused on tsi with a live canary: the host acted", sound(TSI), func(_ *question, t *trial) { t.attempts[1] = tried(2, Refused, "ECONNREFUSED") }, Inconclusive, "", L1},
	{"EPERM on tsi is not the policy's", sound(TSI), func(_ *question, t *trial) { t.attempts[1] = tried(2, Denied, "EPERM") }, Inconclusive, "", L1},
	{"refused on tsi at an allowed address where nothing listens", sound(TSI), func(_ *question, t *trial) { t.wall, t.attempts = bindingWall, denials(VirtioNet) }, Contained, "", L1},
	{"refused on virtio-net, but late", sound(VirtioNet), func(_ *question, t *trial) { t.attempts[1].ElapsedUS = 2_000_000 }, Inconclusive, "", L1},
	{"reset on virtio-net", sound(VirtioNet), func(_ *question, t *trial) { t.attempts[1] = tried(2, Reset, "ECONNRESET") }, Contained, "", L1},
	{"denied on virtio-net", sound(VirtioNet), func(_ *question, t *trial) { t.attempts[1] = tried(2, Denied, "EACCES") }, Inconclusive, "", L1},
	{"the guest's own loopback on virtio-net", sound(VirtioNet), func(_ *question, t *trial) { t.wall = ownWall }, Contained, "", L1},
	{"a handshake with the guest's own loopback", sound(VirtioNet), func(_ *question, t *trial) { t.wall, t.attempts[0] = ownWall, tried(1, HandshakeOnly, "") }, Inconclusive, "", L1},
	{"unsupported", sound(TSI), func(_ *question, t *trial) { t.attempts[0] = tried(1, Unsupported, "EAFNOSUPPORT") }, Inconclusive, "", L1},
	{"silence that lasted, unknown backend", sound(""), func(_ *question, t *trial) {
		t.attempts = []Attempt{tried(1, Filtered, ""), slow(tried(1, Filtered, "")), tried(2, Refused, "ECONNREFUSED")}
	}, Contained, "", L1},
	{"silence that lasted, virtio-net", sound(VirtioNet), func(_ *question, t *trial) {
		t.attempts = []Attempt{tried(1, Filtered, ""), slow(tried(1, Filtered, "")), tried(2, Refused, "ECONNREFUSED")}
	}, Inconclusive, "", L1},
	{"silence that became a refusal, virtio-net", sound(VirtioNet), func(_ *question, t *trial) {
		t.attempts = []Attempt{tried(1, Filtered, ""), slow(tried(1, Refused, "ECONNREFUSED")), tried(2, Refused, "ECONNREFUSED")}
	}, Contained, "", L1},

	{"TEST-NET refused at once on virtio-net, no world", sound(VirtioNet), func(_ *question, t *trial) { t.nobody, t.absent, t.log = true, "nobody", outcome{} }, Contained, "", L2},
	{"the same in a simulator, which refuses it policy or not", sound(VirtioNet), func(q *question, t *trial) {
		q.simulated, t.nobody, t.absent, t.log = true, true, "nobody", outcome{}
	}, Inconclusive, "C1", L0},
	{"the same in a simulator with a world", sound(VirtioNet), func(q *question, t *trial) { q.simulated, t.nobody = true, true }, Contained, "", L2},
	{"TEST-NET refused on tsi", sound(TSI), func(_ *question, t *trial) {
		t.nobody, t.absent, t.log, t.attempts = true, "nobody", outcome{}, denials(VirtioNet)
	}, Inconclusive, "C1", L0},

	{"the worst of two addresses counts", sound(TSI), func(q *question, t *trial) {
		other := *t
		other.attempts = denials(TSI)
		other.attempts[0].Sightings = seen(1)
		q.trials = append(q.trials, other, *t)
	}, Leak, "", L1},
	{"two addresses, both contained", sound(TSI), func(q *question, t *trial) { q.trials = append(q.trials, *t) }, Contained, "", L2},
	{"an error outweighs a missing control", sound(TSI), func(q *question, t *trial) {
		other := *t
		other.attempts = nil
		other.after = failed("dead")
		t.after = failed("dead")
		q.trials = append(q.trials, other)
	}, Error, "", ""},

	{"nothing to dial, with evidence", sound(TSI), func(q *question, _ *trial) { q.absence = absence{why: "the host has no ::1"} }, NotApplicable, "", ""},
	{"the same asked for by name", sound(TSI), func(q *question, _ *trial) { q.asked, q.absence = true, absence{why: "the host has no ::1"} }, NotApplicable, "", ""},
	{"nothing to dial, on the site's word", sound(TSI), func(q *question, _ *trial) { q.absence = absence{why: "none named", unproven: true} }, NotApplicable, "", ""},
	{"the same asked for by name, on the site's word", sound(TSI), func(q *question, _ *trial) {
		q.asked, q.absence = true, absence{why: "none named", unproven: true}
	}, Inconclusive, "", ""},
}

var reachCases = []judgeCase{
	{"reached", reaching(), nil, Contained, "", L2},
	{"reached, the listener keeps no log", reaching(), func(_ *question, t *trial) { t.attempts[0].Sightings = nil }, Contained, "", L1},
	{"reached at the second try", reaching(), func(_ *question, t *trial) {
		t.attempts = []Attempt{tried(1, Refused, "ECONNREFUSED"), t.attempts[0]}
	}, Contained, "", L2},
	{"reached before, lost half-way", reaching(), func(q *question, t *trial) {
		q.path = failed("not after")
		t.attempts = append(t.attempts, tried(4, Filtered, ""))
	}, Contained, "", L0},
	{"not reached, and alive", reaching(), func(q *question, t *trial) { q.path, t.attempts = failed("no"), denials(TSI) }, Overblocked, "", L0},
	{"a block page in its place", reaching(), func(q *question, t *trial) {
		q.path, t.attempts[0] = failed("no"), tried(1, Intercepted, "")
	}, Overblocked, "", L0},
	{"not reached, and dead", reaching(), func(q *question, t *trial) {
		q.path, t.attempts, t.before, t.after = failed("no"), denials(TSI), failed("dead"), failed("dead")
	}, Inconclusive, "C1", L0},
	{"not reached, and the prober does not work", reaching(), func(q *question, t *trial) {
		q.self, q.path, t.attempts = failed("no"), failed("no"), denials(TSI)
	}, Inconclusive, "C0", L0},
	{"lying agent: claims reach without a proof", reaching(), func(q *question, t *trial) {
		q.path = failed("no")
		t.attempts[0].Proved, t.attempts[0].Forged, t.attempts[0].Observation, t.attempts[0].Sightings = false, true, Intercepted, nil
	}, Inconclusive, "", L0},
	{"result missing", reaching(), func(q *question, t *trial) {
		q.path = failed("no")
		t.attempts[0] = Attempt{Round: 1, Observation: ProbeError, Fault: "not answered"}
	}, Error, "", ""},
}
