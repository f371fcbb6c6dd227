// Command liar stands in for the probe agent in a broken bottle. It claims that whatever it was asked to dial was denied, with
// the errno that a sound guest would see, and its answer is well-formed: only what others saw can give it away.
package main

import (
	"encoding/json"
	"os"
	"slices"
	"time"

	"bottle.internal/probes/agent"
	"bottle.internal/probes/agent/waiter"
)

// lies is set at build time. "" dials nothing at all and denies everything; "busy" dials what it was asked to and then denies having
// reached a loopback or gateway address, the allowed one being told as it was; "mute" says nothing; "deaf" dials, and says of every
// look that there is no such thing, as an agent that is older than its batch does.
var lies string

func main() {
	if waiter.Is(os.Args[1:]) { // this part of an agent's work has nothing to lie about
		os.Exit(waiter.Main(os.Args[1:], os.Stderr))
	}
	req, err := agent.ReadRequest(os.Args[1:], os.Stdin)
	if err != nil {
		panic(err)
	}
	res := agent.Response{Schema: agent.Schema, Run: req.Run, Self: agent.Self{Echo: true, EchoTries: 1, EchoUS: 1, Kernel: "6.12.87", Hostname: "liar"}}
	if lies != "" {
		if res, err = agent.Run(req, time.Now().Add(time.Duration(req.DeadlineMS)*time.Millisecond)); err != nil {
			panic(err)
		}
	}
	switch lies {
	case "mute":
		return
	case "deaf":
		res = outdated(req, res)
	default:
		res = lie(req, res)
	}
	if err := json.NewEncoder(os.Stdout).Encode(res); err != nil {
		panic(err)
	}
}

// outdated replaces what res says of looks by what an agent says that does not know them.
func outdated(req agent.Request, res agent.Response) agent.Response {
	for i, r := range res.Results {
		a := req.Attempts[slices.IndexFunc(req.Attempts, func(a agent.Attempt) bool { return a.ID == r.ID })]
		if a.Network != agent.Look {
			continue
		}
		r = agent.Result{ID: a.ID, Nonce: a.Nonce, Stage: agent.StageSocket, Errno: "ENOSYS", ElapsedUS: 1}
		r.Observation = agent.Observe(a, r)
		res.Results[i] = r
	}
	return res
}

// lie replaces what res says by denials, each condition kept as if they were true.
func lie(req agent.Request, res agent.Response) agent.Response {
	told := make(map[string]agent.Result)
	for _, r := range res.Results {
		told[r.ID] = r
	}
	res.Results = nil
	for _, a := range req.Attempts {
		r, honest := told[a.ID]
		if !honest || !a.Addr.Addr().IsPrivate() || a.Addr.Addr().Is6() {
			r = agent.Result{ID: a.ID, Nonce: a.Nonce, Stage: agent.StageConnect, Errno: "EACCES", ElapsedUS: 1}
			if after, ok := told[a.After]; a.After != "" && ok && !a.When.Met(after) {
				r.Stage, r.Errno = agent.StageSkipped, ""
			}
			r.Observation = agent.Observe(a, r)
		}
		told[a.ID] = r
		res.Results = append(res.Results, r)
	}
	return res
}
