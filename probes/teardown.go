package probes

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

const (
	actTeardown  = "teardown"
	postTeardown = "fs.postteardown"
)

// teardownProbes are asked of a sandbox that is no more.
var teardownProbes = []Probe{
	{
		ID: postTeardown, Family: "fs", Severity: High, Expect: Contain, act: actTeardown, lacks: peerless, most: L2,
		What: "Launch another sandbox, leave files in its home and its temporary directories, destroy it, and search the host for what was in them.",
		Why: "What a sandbox wrote is the agent's work and its secrets. A disk that outlives it is the next user's to read, and a file of its in the host's own " +
			"directories is one that nobody expects there.",
		Control: "While the sandbox is up the same search finds the files in the directory that the engine keeps for it: it can find what it looks for. Afterwards it looks there, and at what is new in the " +
			"host's home and temporary directories.",
		Remedy: "Delete the engine's directory of the sandbox; and share nothing that is to be written but what is to be kept.",
		Source: "melodic isolation-probe (canaries are looked for again after teardown)", Where: peerWhere,
	},
}

// leftIn are directories of a guest's that are to go with it.
var leftIn = []string{"/root", "/tmp", "/var/tmp", "/home"}

// A leaving is a file that a guest wrote, and where its nonce was found on the host.
type leaving struct {
	path         string
	nonce        echo.Nonce
	said         Attempt
	alive, after []string
}

// playTeardown has a sandbox write, destroys it, and searches.
func playTeardown(ctx context.Context, s *stage, wanted []Probe) []Finding {
	began := time.Now().Add(-witnessSlack)
	p, err := s.site.Peer(ctx, PeerSpec{Allow: nowhere})
	if err != nil {
		return failing(wanted, "another sandbox could not be put beside this one: "+plainText(err.Error()))
	}
	q := teardown{probe: wanted[0], home: p.Home, kills: s.opts.Kills[postTeardown], kit: s.opts.Kit}
	site := s.site
	site.Run, site.Denials, site.Allowed, site.World = p.Run, p.Denials, Target{}, nil
	q.write(ctx, site, s.opts)
	q.search(ctx, began, false)
	if err := p.Close(context.WithoutCancel(ctx)); err != nil {
		q.fault = "the sandbox could not be destroyed: " + plainText(err.Error())
	}
	q.search(ctx, began, true)
	return []Finding{q.judge()}
}

// write has the guest leave its files.
func (q *teardown) write(ctx context.Context, site Site, o Options) {
	r := newRig(site, o)
	defer func() { _ = r.close() }()
	var aims []aim
	for _, dir := range leftIn {
		aims = append(aims, look(agent.Leave, filepath.Join(dir, ".bottle-left-"+string(echo.NewNonce())[:8]), nil))
	}
	b, err := r.batch([]item{{probe: q.probe, aims: aims}})
	if err != nil {
		q.fault = err.Error()
		return
	}
	b.ask(ctx)
	q.fault, q.glance = b.fault, b.glance()
	for _, t := range b.plan.trials {
		for _, a := range b.join(t.shots, &post{Target: Target{Name: t.aim.where()}}, t.aim, nil) {
			q.left = append(q.left, leaving{path: t.aim.path, nonce: a.Nonce, said: a})
		}
	}
}

// search notes where on the host the nonces are.
func (q *teardown) search(ctx context.Context, began time.Time, over bool) {
	var nonces []echo.Nonce
	for _, l := range q.left {
		nonces = append(nonces, l.nonce)
	}
	if len(nonces) == 0 || q.home == "" {
		return
	}
	found, err := searchAll(ctx, q.home, nonces)
	if over {
		for _, dir := range hostDirs() {
			some, recentErr := searchRecent(ctx, dir, nonces, began)
			found = append(found, some...)
			if err == nil {
				err = recentErr
			}
		}
	}
	if err != nil && q.unsearched == "" {
		q.unsearched = plainText(err.Error())
	}
	for _, f := range found {
		for i := range q.left {
			switch l := &q.left[i]; {
			case l.nonce != f.nonce:
			case over:
				l.after = append(l.after, f.path)
			default:
				l.alive = append(l.alive, f.path)
			}
		}
	}
}

// hostDirs are those of the host's in which a sandbox may leave something by mistake.
func hostDirs() []string {
	dirs := []string{os.TempDir(), "/var/tmp", "/dev/shm"}
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, home)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// A teardown is what the judge may look at for a sandbox that is no more.
type teardown struct {
	probe      Probe
	home       string // where the engine kept it; "" is not known
	left       []leaving
	glance     outcome
	fault      string // why nothing counts
	unsearched string // why not everything was searched
	kills      []string
	kit        string
}

// judge is a pure function.
func (q teardown) judge() Finding {
	f := blank(q.probe)
	for _, l := range q.left {
		f.Attempts = append(f.Attempts, l.said)
	}
	r := q.rule()
	f.Verdict, f.Reason = r.Verdict, r.Reason
	f.Controls = q.controls()
	switch f.Verdict {
	case Leak:
		f.StoppedBy = "nobody"
	case Contained:
		f.StoppedBy = "the engine, which deletes what it keeps"
	}
	if f.Verdict != Error {
		f.Assurance = assurance(f.Controls)
	}
	return f
}

func (q teardown) rule() ruling {
	for _, l := range q.left {
		if len(l.after) > 0 {
			return rule(Leak, "what the guest wrote to %s is on the host at %s after the sandbox was destroyed", l.path, l.after[0])
		}
	}
	if q.fault != "" {
		return rule(Error, "%s", q.fault)
	}
	for _, c := range q.controls() {
		if c.ID != "C3" && c.ID != "C5" && c.State != Held {
			return rule(Inconclusive, "%s: %s", c.ID, c.Text)
		}
	}
	return rule(Contained, "%d files that the guest wrote were in %s while it was up, and are nowhere now", q.found(), q.home)
}

// found is how many of the files were found while the sandbox was up.
func (q teardown) found() int {
	n := 0
	for _, l := range q.left {
		if len(l.alive) > 0 {
			n++
		}
	}
	return n
}

func (q teardown) controls() []Control {
	written := 0
	for _, l := range q.left {
		if l.said.Observation == Writable && l.said.Fault == "" {
			written++
		}
	}
	seen, wrote, searched := held("%d of the guest's files were found on the host while it was up", q.found()), held("the guest wrote %d files", written), held("everything was searched that was to be")
	switch {
	case q.home == "":
		seen = notChecked("nobody knows where the engine keeps what a sandbox writes")
	case q.found() == 0:
		seen = failed("none of the guest's files was found on the host while it was up, so that finding none afterwards shows nothing")
	}
	if written == 0 {
		wrote = failed("the guest could write nowhere")
	}
	if q.unsearched != "" {
		searched = failed("not everything was searched: %s", q.unsearched)
	}
	return []Control{
		q.glance.control("C0"), seen.control("C1"), wrote.control("C2"), notChecked("a sandbox that is no more has no twin").control("C3"),
		searched.control("C4"), question{kills: q.kills, kit: q.kit}.killed().control("C5"),
	}
}
