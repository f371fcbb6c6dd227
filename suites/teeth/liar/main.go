// Command liar stands in for the probe agent in a broken bottle: it dials nothing and claims that everything was denied, with
// the errno that a sound tsi guest would see. Whatever it claims must not come out green.
package main

import (
	"encoding/json"
	"os"

	"bottle.internal/probes/agent"
)

func main() {
	b, err := os.ReadFile(os.Args[len(os.Args)-1])
	if err != nil {
		panic(err)
	}
	req, err := agent.DecodeRequest(b)
	if err != nil {
		panic(err)
	}
	res := agent.Response{Schema: agent.Schema, Run: req.Run, Self: agent.Self{Echo: true, EchoTries: 1, EchoUS: 1, Kernel: "6.12.87", Hostname: "liar"}}
	for _, a := range req.Attempts {
		r := agent.Result{ID: a.ID, Nonce: a.Nonce, Stage: agent.StageConnect, Errno: "EACCES", ElapsedUS: 1}
		r.Observation = agent.Observe(r)
		res.Results = append(res.Results, r)
	}
	if err := json.NewEncoder(os.Stdout).Encode(res); err != nil {
		panic(err)
	}
}
