package shell_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bottle.internal/probes/agent"
	"bottle.internal/probes/agent/shell"
)

// clocks are programs date that tell anything but the time. COUNT is a file of their own.
var clocks = map[string]string{
	"stands still": "echo 5",
	"runs back":    `n=$(cat COUNT); n=$((n - 1000)); echo "$n" >COUNT; echo "$n"`,
	"leaps":        `n=$(cat COUNT); n=$((n + 1000)); echo "$n" >COUNT; echo "$n"`,
	"has words":    "echo Thu Jan 1 00:00:00 1970",
	"has octals":   "echo 0899",
	"is silent":    "true",
	"is broken":    "exit 1",
}

// withClock is a PATH with a tool and a clock. The clock takes the place of a link: it must not be written through it.
func withClock(t *testing.T, tool, clock string) string {
	t.Helper()
	path, count := bin(t, tool), filepath.Join(t.TempDir(), "count")
	if err := os.Remove(filepath.Join(path, "date")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(count, []byte("1000000"), 0o600); err != nil {
		t.Fatal(err)
	}
	plant(t, path, "date="+script(strings.ReplaceAll(clock, "COUNT", count)))
	return path
}

// A clock that is wrong costs no verdict: what is there is reached, what is refused is refused, and no time is longer than it was. Where the
// kernel has no better one, what it says may leave attempts open, and nothing else.
func TestClocks(t *testing.T) {
	for name, clock := range clocks {
		for tool, uptime := range map[string]bool{"bash": true, "perl": false, "python3": false} {
			t.Run(name+" "+tool, func(t *testing.T) {
				t.Parallel()
				told(t, withClock(t, tool, clock), uptime)
			})
		}
	}
}

func told(t *testing.T, path string, uptime bool) {
	silent := serving(t, func(c net.Conn) { heard(c); _, _ = io.Copy(io.Discard, c) })
	r := request(answering(t), closed(t), silent)
	text, err := shell.Script(r)
	if err != nil {
		t.Fatal(err)
	}
	if !uptime {
		text = strings.ReplaceAll(text, "/proc/uptime", "/none")
	}
	begin := time.Now()
	out := fed(t, []string{"dash"}, path, text)
	took := time.Since(begin)
	ans, err := shell.Decode(r, out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for id, want := range map[string]agent.Observation{"a": agent.Reachable, "b": agent.Refused, "c": agent.HandshakeOnly} {
		got := ans.Results[id]
		if got.Observation != want && (uptime || got.Stage != agent.StageUnfinished) {
			t.Errorf("%s: %+v, want %s", id, got, want)
		}
		if got.ElapsedUS > (took + time.Second).Microseconds() {
			t.Errorf("%s took %d µs, and all of it %s", id, got.ElapsedUS, took)
		}
	}
}
