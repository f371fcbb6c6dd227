package shell

import (
	"context"
	"encoding/json"

	"bottle.internal/probes/agent"
)

// An Exec runs "sh" inside a sandbox with script on its standard input, and returns what it printed to standard output. An error is
// one of transport: the sandbox could not be asked. A sandbox that has no sh is such an error too. It must honour ctx.
type Exec func(ctx context.Context, script string) (output []byte, err error)

// Through is a way into a sandbox for package probes, a RunFunc, where no agent can be copied in: of a request it makes what Can tells
// of, by one sh through exec. The response is of the agent's form and its Self.Weak says how it came about, so that no finding of it is
// more than L1, and every one says so. What a shell does not make is unfinished, and no finding.
//
// An error is exec's, or agent.ErrResponse where the script did not run to its end. A guest with sh and no tool to dial with is none:
// its attempts are all unfinished and Self.EchoError names what was tried.
func Through(exec Exec) func(ctx context.Context, request []byte) (response []byte, err error) {
	return func(ctx context.Context, request []byte) ([]byte, error) {
		r, err := agent.DecodeRequest(request)
		if err != nil {
			return nil, err
		}
		script, err := Script(r)
		if err != nil {
			return nil, err
		}
		out, err := exec(ctx, script)
		if err != nil {
			return nil, err
		}
		resp, err := Parse(r, out)
		if err != nil {
			return nil, err
		}
		return json.Marshal(resp)
	}
}
