// Command liar stands in for the probe agent in a broken bottle. It claims that whatever it was asked to dial was denied, with
// the errno that a sound guest would see, and its answer is well-formed: only what others saw can give it away.
package main

import (
	"encoding/json"
	"os"
	"time"

	"bottle.internal/probes/agent"
	"bottle.internal/probes/agent/waiter"
)

// dials is set at build time. "" dials nothing at all and denies everything; anything else dials what it was asked to and then
// denies having reached a loopback or gateway address, the allowed one being told as it was.
var dials string

func main() {
	if waiter.Is(os.Args[1:]) { // this part of an agent's work has nothing to lie about
		os.Exit(waiter.Main(os.Args[1:], os.Stderr))
	}
	req, err := agent.ReadRequest(os.Args[1:], os.Stdin)
	if err != nil {
		panic(err)
	}
	res := agent.Response{Schema: agent.Schema, Run: req.Run, Self: agent.Self{Echo: true, EchoTries: 1, EchoUS: 1, Kernel: "6.12.87", Hostname: "liar"}}
	if dials != "" {
		if res, err = agent.Run(req, time.Now().Add(time.Duration(req.DeadlineMS)*time.Millisecond)); err != nil {
			panic(err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(lie(req, res)); err != nil {
		panic(err)
	}
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
