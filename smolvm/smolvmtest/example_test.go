package smolvmtest_test

import (
	"testing"

	"bottle.internal/smolvm"
	"bottle.internal/smolvm/smolvmtest"
)

func ExampleNew() {
	// In TestMain: smolvmtest.Main(m)
	test := func(t *testing.T) {
		fake := smolvmtest.New(t,
			smolvmtest.Version("1.9.3"),
			smolvmtest.Reply{Argv: []string{"machine", "start"}, Exit: 1, Stderr: "Error: vm not found: demo\n"},
			smolvmtest.Reply{Command: []string{"echo"}, Guest: &smolvmtest.Guest{Stdout: "hello\n"}},
		)
		client := &smolvm.Client{Path: fake.Path}
		if err := client.Start(t.Context(), "demo"); err == nil {
			t.Error("a machine that is not there has started")
		}
		if _, err := client.Exec(t.Context(), "demo", smolvm.Command{Argv: []string{"echo", "hello"}}); err != nil {
			t.Error(err)
		}
		t.Log(fake.Lines())
	}
	_ = test
}
