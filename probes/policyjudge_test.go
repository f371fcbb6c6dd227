package probes

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func list(all ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// askedOfPolicy is a question of a policy that is in force as it was asked for.
func askedOfPolicy() policyQuestion {
	testnet := asFound("net.tcp.testnet.v4", Contained)
	testnet.Attempts = []Attempt{tried(1, Denied, "EACCES"), tried(2, Denied, "EACCES")}
	return policyQuestion{
		backend: TSI, declared: list("10.77.0.2/32"), interfaces: []string{"lo 127.0.0.1/8"},
		record: PolicyRecord{Witness: "the record", Allow: list("10.77.0.2/32"), Told: true},
		seen:   []Finding{asFound("net.tcp.allowed.v4", Contained), testnet, asFound("net.tcp.canary.v4", Contained)},
	}
}

func TestJudgeBackend(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*policyQuestion)
		want  Verdict
		level Assurance
	}{
		"as declared":            {func(*policyQuestion) {}, Contained, L2},
		"and on record":          {func(q *policyQuestion) { q.record.Backend = TSI }, Contained, L2},
		"another on record":      {func(q *policyQuestion) { q.record.Backend = VirtioNet }, Leak, L1},
		"another is declared":    {func(q *policyQuestion) { q.backend = VirtioNet }, Leak, L1},
		"another by its devices": {func(q *policyQuestion) { q.interfaces = append(q.interfaces, "eth0 100.96.0.2/30") }, Leak, L1},
		"no devices told":        {func(q *policyQuestion) { q.interfaces = nil }, Contained, L1},
		"the denial says nothing": {func(q *policyQuestion) {
			q.seen[1].Attempts[1].Errno = "ETIMEDOUT"
		}, Inconclusive, L1},
		"the denials differ": {func(q *policyQuestion) { q.seen[1].Attempts[1].Errno = "ECONNREFUSED" }, Inconclusive, L1},
		"it was not tried":   {func(q *policyQuestion) { q.seen = q.seen[:1] }, Inconclusive, L0},
		"the path was dead":  {func(q *policyQuestion) { q.seen[1] = without(q.seen[1], "C2") }, Contained, L0},
	} {
		t.Run(name, func(t *testing.T) {
			q := askedOfPolicy()
			c.edit(&q)
			if f := q.judgeBackend(); f.Verdict != c.want || f.Assurance != c.level {
				t.Errorf("want %s %s: %s", c.want, c.level, f)
			}
		})
	}
}

func TestJudgeEffective(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*policyQuestion)
		want Verdict
		says string
	}{
		"as asked for":           {func(*policyQuestion) {}, Contained, "10.77.0.2/32"},
		"more on record":         {func(q *policyQuestion) { q.record.Allow = list("10.77.0.2/32", "0.0.0.0/0") }, Leak, "0.0.0.0/0"},
		"wider on record":        {func(q *policyQuestion) { q.record.Allow = list("10.77.0.0/24") }, Leak, "10.77.0.0/24"},
		"with host bits":         {func(q *policyQuestion) { q.record.Allow = list("10.77.0.2/24") }, Leak, "10.77.0.2/24"},
		"nothing on record":      {func(q *policyQuestion) { q.record.Allow = nil }, Overblocked, "lacks"},
		"a leak from inside":     {func(q *policyQuestion) { q.seen[2].Verdict = Leak }, Leak, "net.tcp.canary.v4"},
		"open from inside":       {func(q *policyQuestion) { q.seen[2].Verdict = Inconclusive }, Inconclusive, "net.tcp.canary.v4"},
		"dead from inside":       {func(q *policyQuestion) { q.seen[0].Verdict = Overblocked }, Overblocked, "net.tcp.allowed.v4"},
		"nothing seen at all":    {func(q *policyQuestion) { q.seen = nil }, Inconclusive, "nothing was seen"},
		"one that means nothing": {func(q *policyQuestion) { q.seen[2].Verdict = NotApplicable }, Contained, "2 probes"},
	} {
		t.Run(name, func(t *testing.T) {
			q := askedOfPolicy()
			c.edit(&q)
			if f := q.judgeEffective(); f.Verdict != c.want || !strings.Contains(f.Reason, c.says) {
				t.Errorf("want %s naming %q: %s", c.want, c.says, f)
			}
		})
	}
}

func TestPolicyScenes(t *testing.T) {
	for name, c := range map[string]struct {
		record PolicyRecord
		err    error
		want   [2]Verdict // backend, effective
	}{
		"told":           {PolicyRecord{Witness: "w", Allow: list("192.0.2.7/32"), Told: true}, nil, [2]Verdict{Contained, Contained}},
		"not told":       {PolicyRecord{Witness: "w"}, nil, [2]Verdict{Contained, NotApplicable}},
		"another":        {PolicyRecord{Witness: "w", Backend: VirtioNet, Told: true}, nil, [2]Verdict{Leak, Overblocked}},
		"not to be read": {PolicyRecord{}, errors.New("no such machine"), [2]Verdict{Error, Error}},
	} {
		t.Run(name, func(t *testing.T) {
			s := site(t, TSI)
			s.Allow = list("192.0.2.7/32")
			s.Record = func(context.Context) (PolicyRecord, error) { return c.record, c.err }
			rep, err := Run(t.Context(), s, quick, policyBackend, policyEffective, "net.tcp.testnet.v4")
			if err != nil {
				t.Fatal(err)
			}
			for i, id := range []string{policyBackend, policyEffective} {
				if f := finding(t, rep, id); f.Verdict != c.want[i] {
					t.Errorf("want %s: %s", c.want[i], f)
				}
			}
		})
	}
}
