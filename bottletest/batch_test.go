package bottletest

import (
	"slices"
	"strings"
	"testing"

	"bottle.internal/probes/agent"
	"bottle.internal/smolvm"
	"bottle.internal/smolvm/smolvmtest"
)

// A batch goes in as a variable where it fits, in one call of smolvm's, and whole either way.
func TestBatchesGoIn(t *testing.T) {
	for name, tc := range map[string]struct {
		size  int
		verbs []string
	}{
		"small": {variableLimit, []string{"exec"}},
		"large": {variableLimit + 1, []string{"cp", "exec"}},
	} {
		fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"),
			smolvmtest.Reply{Argv: []string{"machine", "cp"}, Times: smolvmtest.AnyTimes},
			smolvmtest.Reply{Command: []string{agentPath}, Guest: &smolvmtest.Guest{Stdout: "answer"}})
		b := &Bottle{engine: &guestEngine{client: &smolvm.Client{Path: fake.Path}}, plan: Plan{Machine: "bottle-x"}}
		request := strings.Repeat("x", tc.size)
		if got, err := b.runAgent(t.Context(), []byte(request)); err != nil || string(got) != "answer" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		var verbs []string
		carried := false
		for _, c := range fake.Calls() {
			if len(c.Argv) < 2 {
				continue
			}
			verbs = append(verbs, c.Argv[1])
			carried = carried || c.Upload == request || slices.Contains(c.Argv, agent.RequestVariable+"="+request)
		}
		if !slices.Equal(verbs, tc.verbs) || !carried {
			t.Errorf("%s: %q, carried whole: %t", name, verbs, carried)
		}
	}
}
