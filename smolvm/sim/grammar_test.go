//go:build linux

package sim

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	g := grammar{path: "machine x", trailing: "COMMAND", options: []option{
		nameOption('n', false), {long: "env", short: 'e', value: "KEY=VALUE", many: true}, {long: "force", short: 'f'}, {long: "stream", short: 's'},
	}}
	for _, c := range []struct {
		argv []string
		want arguments
	}{
		{[]string{"ls"}, arguments{rest: []string{"ls"}}},
		{[]string{"--name", "a", "ls", "--name", "b", "--"}, arguments{values: map[string][]string{"name": {"a"}}, rest: []string{"ls", "--name", "b", "--"}}},
		{[]string{"-na", "--", "-f"}, arguments{values: map[string][]string{"name": {"a"}}, rest: []string{"-f"}}},
		{[]string{"-fs", "-e=A=1", "--env=B=2", "-e", "C=", "x"}, arguments{
			values: map[string][]string{"force": {"true"}, "stream": {"true"}, "env": {"A=1", "B=2", "C="}}, rest: []string{"x"},
		}},
		{[]string{"--name", "-", "x"}, arguments{values: map[string][]string{"name": {"-"}}, rest: []string{"x"}}},
	} {
		if c.want.values == nil {
			c.want.values = map[string][]string{}
		}
		got, err := g.parse(c.argv)
		if err != nil {
			t.Errorf("%q: %v", c.argv, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(arguments{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.argv, diff)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "5m": 5 * time.Minute, "1m 30s": 90 * time.Second, "1h2min": 62 * time.Minute,
		"30": 0, "0s": 0, "": 0, "s": 0, "1x": 0, "-1s": 0, "1.5s": 0, "99999999999d": 0,
	} {
		got, err := parseDuration(text)
		if got != want && err == nil || (err == nil) != (want > 0) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"500ms", "1m 30s", "0s", "9223372036854775807d", " 1 s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := parseDuration(s); (err == nil) != (d > 0) {
			t.Errorf("%q: %v, %v", s, d, err)
		}
	})
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "A-b_c9": true, "9": true, "a_": true,
		"": false, "-a": false, "_a": false, "a--b": false, "a-": false, "a/b": false, "ä": false, "a b": false, "../x": false,
	} {
		if err := checkName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
