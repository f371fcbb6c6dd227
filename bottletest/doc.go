// Package bottletest launches a bottle inside a Go test: a smolvm guest whose only allowed destination is the /32 of a sidecar
// bundle, both created for the test and gone after it.
//
//	func TestAgentStaysInside(t *testing.T) {
//		b := bottletest.Start(t, bottletest.Config{Daemons: []string{"proxy", "egress"}})
//		res, err := b.Exec(t.Context(), "echo", "hello-from-vm")
//		if err != nil || string(res.Stdout) != "hello-from-vm\n" {
//			t.Fatalf("%q, %v", res.Stdout, err)
//		}
//		rep, err := b.Probe(t.Context(), "net.tcp.loopback.v4", "proxy.admin-surface")
//		if err != nil || rep.ExitCode() != 0 {
//			t.Fatalf("the bottle does not hold: %v\n%s", err, rep)
//		}
//	}
//
// No test runs in a bottle whose walls were not seen standing: before a bottle is handed out, the launch gate proves from
// inside the guest that the allowed address answers with a nonce, that a canary on the host's loopback stays silent and that a
// TEST-NET address dies with the error that only the policy gives. A bottle that fails it is torn down and the launch fails
// with ErrNotIsolated and the evidence.
//
// The engine is the real smolvm. The simulator, which is no security boundary, runs only where it is asked for by name
// (Config.Engine or BOTTLE_ENGINE=sim), and everything that reports a result names it.
//
// What a killed run leaves behind carries its owner's identity; Sweep removes it and never touches what is alive.
package bottletest
