package shell_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
	"bottle.internal/probes/agent/shell"
)

const (
	run   = echo.Nonce("00000000000000000000000000000001")
	nonce = echo.Nonce("0000000000000000000000000000000a")
	lead  = "bottle-shell " + string(run) + " "
	fine  = lead + "tool nc\n" + lead + "result 0 " + string(nonce) + " connect ECONNREFUSED 0 -\n" + lead + "end\n"
)

func one() agent.Request {
	return agent.Request{Schema: agent.Schema, Run: run, DeadlineMS: 1000, Attempts: []agent.Attempt{
		{ID: "a", Network: agent.TCP4, Addr: netip.MustParseAddrPort("127.0.0.1:9"), Nonce: nonce, BudgetMS: 100},
	}}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, out string
		refused   bool
		fault     string
		want      agent.Observation
	}{
		{"honest", fine, false, "", agent.Refused},
		{"with a greeting, and carriage returns", "welcome\n" + strings.ReplaceAll(fine, "\n", "\r\n"), false, "", agent.Refused},
		{"nothing", "", true, "", agent.Refused},
		{"cut off", strings.TrimSuffix(fine, lead+"end\n"), true, "", agent.Refused},
		{"of another run", strings.ReplaceAll(fine, string(run), string(nonce)), true, "", agent.Refused},
		{"a line that is none", fine + lead + "verdict contained\n", true, "", agent.Refused},
		{"a number that is none", strings.Replace(fine, "result 0", "result x", 1), true, "", agent.Refused},
		{"an attempt that is none", strings.Replace(fine, "result 0", "result 1", 1), true, "", agent.Refused},
		{"a negative number", strings.Replace(fine, "result 0", "result -1", 1), true, "", agent.Refused},
		{"a negative time", strings.Replace(fine, " 0 -", " -1 -", 1), true, "", agent.Refused},
		{"a reply that is no hex", strings.Replace(fine, " 0 -", " 0 xyz", 1), true, "", agent.Refused},
		{"twice", lead + "result 0 " + string(nonce) + " connect EACCES 0 -\n" + fine, false, "answered more than once", agent.Refused},
		{"another nonce", strings.Replace(fine, string(nonce), string(run)[:31]+"b", 1), false, "answered with another nonce", agent.Refused},
		{"a stage that is none", strings.Replace(fine, "connect E", "blocked E", 1), false, `unknown stage "blocked"`, agent.Refused},
		{"an errno that is none", strings.Replace(fine, "ECONNREFUSED", "refused", 1), false, `"refused" is no errno`, agent.Refused},
		{"skipped unasked", strings.Replace(fine, "connect ECONNREFUSED", "skipped -", 1), false, "", agent.ProbeError},
	} {
		ans, err := shell.Decode(one(), []byte(c.out))
		if c.refused {
			if !errors.Is(err, agent.ErrResponse) {
				t.Errorf("%s: accepted: %v", c.name, err)
			}
			continue
		}
		if err != nil || ans.Faults["a"] != c.fault {
			t.Errorf("%s: %v, fault %q", c.name, err, ans.Faults["a"])
		}
		if got := ans.Results["a"].Observation; c.fault == "" && got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestCan(t *testing.T) {
	for name, edit := range map[string]func(*agent.Attempt){
		"IPv6":      func(a *agent.Attempt) { a.Network = agent.TCP6 },
		"a method":  func(a *agent.Attempt) { a.Method = agent.FastOpen },
		"a message": func(a *agent.Attempt) { a.Send = [][]byte{{'x'}} },
	} {
		a := one().Attempts[0]
		if edit(&a); shell.Can(a) {
			t.Errorf("%s: a shell can", name)
		}
	}
	if !shell.Can(one().Attempts[0]) {
		t.Error("a shell cannot make a plain attempt")
	}
	if _, err := shell.Script(agent.Request{}); err == nil {
		t.Error("a script of no request")
	}
}

// FuzzParse: whatever a guest prints, what counts was asked for and reads as its evidence does.
func FuzzParse(f *testing.F) {
	f.Add([]byte(fine))
	f.Add([]byte(lead + "result 0 x done - 0 00\n" + lead + "end\n"))
	r := one()
	f.Fuzz(func(t *testing.T, b []byte) {
		ans, err := shell.Decode(r, b)
		if err != nil {
			if !errors.Is(err, agent.ErrResponse) {
				t.Errorf("%v is not ErrResponse", err)
			}
			return
		}
		res, ok := ans.Results["a"]
		if ok == (ans.Faults["a"] != "") || ok && (res.Nonce != nonce || res.Observation != agent.Observe(r.Attempts[0], res)) {
			t.Errorf("%+v", ans)
		}
	})
}
