package shell

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// Parse reads what a script of r printed, which is untrusted, as the agent's response. Lines that are not of this run's script are
// passed over: a guest may print a greeting. An attempt without a line, or one that a shell does not make, is unfinished or, where its
// condition did not hold, skipped. An error, which is agent.ErrResponse, says that the script did not run to its end or that a line of
// it is none. What is in the response counts only after Decode.
func Parse(r agent.Request, out []byte) (agent.Response, error) {
	if len(out) > agent.MaxBatch {
		return agent.Response{}, fmt.Errorf("%w: %d bytes by the shell", agent.ErrResponse, len(out))
	}
	p := parser{request: r, self: agent.Self{Weak: "by a POSIX shell"}}
	prefix := "bottle-shell " + string(r.Run) + " "
	for line := range bytes.Lines(out) {
		text, ours := strings.CutPrefix(strings.TrimSpace(string(line)), prefix)
		if !ours {
			continue
		}
		if err := p.line(text); err != nil {
			return agent.Response{}, fmt.Errorf("%w: by the shell: %w", agent.ErrResponse, err)
		}
	}
	if !p.ended {
		return agent.Response{}, fmt.Errorf("%w: the shell's script did not run to its end", agent.ErrResponse)
	}
	p.complete()
	return agent.Response{Schema: agent.Schema, Run: r.Run, Self: p.self, Results: p.results}, nil
}

// Decode is Parse, with the response checked against r as an agent's is.
func Decode(r agent.Request, out []byte) (agent.Answer, error) {
	resp, err := Parse(r, out)
	if err != nil {
		return agent.Answer{}, err
	}
	b, err := json.Marshal(resp)
	if err != nil {
		return agent.Answer{}, err
	}
	return r.Decode(b)
}

type parser struct {
	request agent.Request
	self    agent.Self
	results []agent.Result
	tried   []string // tools that did not bring the first answer back, and what they met
	ended   bool
}

// line takes in one line of the script's, without what every one begins with.
func (p *parser) line(text string) error {
	verb, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "tool":
		p.self.Weak = "by a POSIX shell, with " + rest + "; it reads a tool's words and not the kernel's errno, and knows times to the second"
	case "tried":
		p.tried = append(p.tried, rest)
	case "uid":
		p.self.UID, _ = strconv.Atoi(rest)
	case "kernel":
		p.self.Kernel = rest
	case "hostname":
		p.self.Hostname = rest
	case "boot":
		p.self.BootID = rest
	case "end":
		p.ended = true
	case "result":
		return p.result(strings.Fields(rest))
	default:
		return fmt.Errorf("%.40q is no line of the script", text)
	}
	return nil
}

// result takes in "NUMBER NONCE STAGE ERRNO MILLISECONDS HEX", in which "-" stands for nothing.
func (p *parser) result(f []string) error {
	if len(f) != 6 {
		return fmt.Errorf("a result of %d fields", len(f))
	}
	i, err := strconv.Atoi(f[0])
	if err != nil || i < 0 || i >= len(p.request.Attempts) || !Can(p.request.Attempts[i]) {
		return fmt.Errorf("a result for %.20q, which was not asked for", f[0])
	}
	ms, err := strconv.ParseInt(f[4], 10, 32)
	if err != nil || ms < 0 {
		return fmt.Errorf("%.20q is no time", f[4])
	}
	r := agent.Result{ID: p.request.Attempts[i].ID, Nonce: echo.Nonce(f[1]), Stage: agent.Stage(f[2]), ElapsedUS: ms * 1000}
	if f[3] != "-" {
		r.Errno = f[3]
	}
	if f[5] != "-" {
		if r.Reply, err = hex.DecodeString(f[5]); err != nil {
			return fmt.Errorf("a reply that is no hex: %w", err)
		}
	}
	r.Observation = agent.Observe(p.request.Attempts[i], r)
	p.results = append(p.results, r)
	return nil
}

// complete says of the attempts that a shell does not make that they were not made, and takes back what was made or skipped against its
// condition: a script decides by what it can tell.
func (p *parser) complete() {
	given := make(map[string]agent.Result)
	for _, r := range p.results {
		given[r.ID] = r
	}
	var corrected []agent.Result
	known := make(map[string]agent.Result)
	left := 0
	for _, a := range p.byPhase() {
		r, made := given[a.ID]
		wanted := a.After == "" || a.When.Met(known[a.After])
		switch {
		case !wanted:
			r = outcome(a, agent.StageSkipped)
		case !made || r.Stage == agent.StageSkipped:
			r = outcome(a, agent.StageUnfinished)
		}
		if r.Stage == agent.StageUnfinished {
			left++
		}
		known[a.ID] = r
		if !made || r.Stage != given[a.ID].Stage {
			corrected = append(corrected, r)
		}
	}
	p.replace(corrected)
	p.proven(known)
	if left > 0 {
		p.self.Notes = append(p.self.Notes, fmt.Sprintf("by the shell: %d attempts were not made", left))
	}
	for _, t := range p.tried {
		p.self.Notes = append(p.self.Notes, "by the shell: tried and not used: "+t)
	}
}

// byPhase is the request's attempts, so that one that hangs on another comes after it.
func (p *parser) byPhase() []agent.Attempt {
	all := slices.Clone(p.request.Attempts)
	slices.SortStableFunc(all, func(a, b agent.Attempt) int { return a.Phase - b.Phase })
	return all
}

// replace puts corrected in the place of every result of the same attempt.
func (p *parser) replace(corrected []agent.Result) {
	for _, c := range corrected {
		p.results = append(slices.DeleteFunc(p.results, func(r agent.Result) bool { return r.ID == c.ID }), c)
	}
}

// proven is the shell's self-check: the tool brought an answer back that repeats the nonce.
func (p *parser) proven(known map[string]agent.Result) {
	for _, r := range known {
		if r.Observation == agent.Reachable {
			p.self.Echo, p.self.EchoTries, p.self.EchoUS = true, 1, r.ElapsedUS
			return
		}
	}
	p.self.EchoError = "no tool of the guest's brought an answer back; tried: " + strings.Join(p.tried, ", ")
	if len(p.tried) == 0 {
		p.self.EchoError = "the guest has no tool that a shell could dial with"
	}
}

func outcome(a agent.Attempt, s agent.Stage) agent.Result {
	r := agent.Result{ID: a.ID, Nonce: a.Nonce, Stage: s}
	r.Observation = agent.Observe(a, r)
	return r
}
