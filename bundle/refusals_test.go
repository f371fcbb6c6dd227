package bundle

import "testing"

func TestParseRefusals(t *testing.T) {
	log := `[init] up
[proxy] {"time":"2026-01-02T03:04:05Z","decision":"deny","daemon":"proxy","method":"CONNECT","target":"192.0.2.1:443","rule":"not-listed","peer":"10.0.0.1:4","nonces":["n1","n2"]}
[proxy] {"time":"2026-01-02T03:04:06Z","decision":"allow","daemon":"proxy","method":"CONNECT","target":"example.org:443","rule":"example.org"}
{"decision":"deny","target":"printed by nobody"}
[proxy] {"decision":
`
	all := ParseRefusals([]byte(log))
	if len(all) != 1 || all[0].Target != "192.0.2.1:443" || all[0].Rule != "not-listed" || all[0].Method != "CONNECT" || len(all[0].Nonces) != 2 || all[0].Time.IsZero() {
		t.Errorf("%+v", all)
	}
}
