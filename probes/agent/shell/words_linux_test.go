package shell_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/probes/agent"
	"bottle.internal/probes/agent/shell"
)

// script is a tool that says something.
func script(body string) string { return "#!/bin/sh\n" + body + "\n" }

// plant puts a tool into a PATH: NAME for this machine's, NAME=CONTENT for one that is made up.
func plant(t *testing.T, dir, tool string) {
	t.Helper()
	name, content, made := strings.Cut(tool, "=")
	path := filepath.Join(dir, name)
	if !made {
		real := found(t, name)
		need(t, real, name)
		if err := os.Symlink(real, path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil { // #nosec G306 -- it has to run
		t.Fatal(err)
	}
}

// What the tools say, as recorded of the Debian 12 ones against listeners on loopback and routes that prohibit, reject and lead nowhere. HOST and
// PORT stand for the address. The rows that begin "broken" are of tools that did not do what they were asked.
var words = []struct {
	name, tool, says string
	code             int
	stage            agent.Stage
	errno            string
}{
	{"refused", "nc.openbsd", "nc.openbsd: connect to HOST port PORT (tcp) failed: Connection refused", 1, agent.StageConnect, "ECONNREFUSED"},
	{"denied", "nc.openbsd", "nc.openbsd: connect to HOST port PORT (tcp) failed: Permission denied", 1, agent.StageConnect, "EACCES"},
	{"late", "nc.openbsd", "nc.openbsd: connect to HOST port PORT (tcp) timed out: Operation now in progress", 1, agent.StageConnect, ""},
	{"silent", "nc.openbsd", "Connection to HOST PORT port [tcp/*] succeeded!", 0, agent.StageDone, ""},
	{"refused", "nc.traditional", "(UNKNOWN) [HOST] PORT (?) : Connection refused", 1, agent.StageConnect, "ECONNREFUSED"},
	{"denied", "nc.traditional", "(UNKNOWN) [HOST] PORT (http) : Permission denied", 1, agent.StageConnect, "EACCES"},
	{"no route", "nc.traditional", "(UNKNOWN) [HOST] PORT (http) : No route to host", 1, agent.StageConnect, "EHOSTUNREACH"},
	{"silent", "nc.traditional", "(UNKNOWN) [HOST] PORT (?) open", 0, agent.StageDone, ""},
	{"refused", "nc", "nc: can't connect to remote host (HOST): Connection refused", 1, agent.StageConnect, "ECONNREFUSED"},
	{"denied", "nc", "nc: can't connect to remote host (HOST): Permission denied", 1, agent.StageConnect, "EACCES"},
	{"no network", "nc", "nc: can't connect to remote host (HOST): Network is unreachable", 1, agent.StageConnect, "ENETUNREACH"},
	{"late", "nc", "nc: timed out", 1, agent.StageConnect, ""},
	{"refused", "ncat", "Ncat: Version 7.93 ( https://nmap.org/ncat )\nNcat: Connection refused.", 1, agent.StageConnect, "ECONNREFUSED"},
	{"denied", "ncat", "Ncat: Version 7.93 ( https://nmap.org/ncat )\nNcat: Permission denied.", 1, agent.StageConnect, "EACCES"},
	{"reset", "ncat", "Ncat: Connected to HOST:PORT.\nNcat: Connection reset by peer.", 1, agent.StageRead, "ECONNRESET"},
	{"refused", "socat", "2026/11/26 04:32:14 socat[17] E connect(5, AF=2 HOST:PORT, 16): Connection refused", 1, agent.StageConnect, "ECONNREFUSED"},
	{"denied", "socat", "2026/11/26 04:32:14 socat[17] E connect(5, AF=2 HOST:PORT, 16): Permission denied", 1, agent.StageConnect, "EACCES"},
	{"silent", "socat", "2026/11/26 04:32:14 socat[17] N successfully connected from local address AF=2 127.0.0.1:1", 0, agent.StageDone, ""},
	{"denied", "curl", "*   Trying HOST:PORT...\n* Immediate connect fail for HOST: Permission denied\n* Closing connection 0", 7, agent.StageConnect, "EACCES"},
	{"refused", "curl", "* connect to HOST port PORT from 127.0.0.1 port 4 failed: Connection refused", 7, agent.StageConnect, "ECONNREFUSED"},
	{"denied", "wget", "Connecting to HOST:PORT... failed: Permission denied.\nGiving up.", 4, agent.StageConnect, "EACCES"},

	{"broken: a library that may not be read", "nc", "nc: error while loading shared libraries: libc.so.6: cannot open shared object file: Permission denied", 127, agent.StageUnfinished, ""},
	{"broken: not executable", "nc", "sh: 1: exec: nc: Permission denied", 126, agent.StageUnfinished, ""},
	{"broken: gone", "nc", "sh: 1: exec: nc: not found", 127, agent.StageUnfinished, ""},
	{"broken: an ending that says what a connect would", "nc", "nc: can't connect to remote host (HOST): Permission denied", 127, agent.StageUnfinished, ""},
	{"broken: of something else", "nc", "nc: /etc/services: Permission denied", 1, agent.StageUnfinished, ""},
	{"broken: of another address", "nc", "nc: can't connect to remote host (192.0.2.77): Permission denied", 1, agent.StageUnfinished, ""},
	{"broken: no words", "nc", "", 1, agent.StageUnfinished, ""},
	{"broken: killed", "nc", "Killed", 137, agent.StageUnfinished, ""},
	{"broken: refused by name", "curl", "curl: (1) Protocol \"http\" not supported or disabled in libcurl: Permission denied", 1, agent.StageUnfinished, ""},
}

// A tool's words are read as its kind says them, and a tool that did not run denies nothing.
func TestWords(t *testing.T) {
	for _, c := range words {
		t.Run(c.tool+"/"+c.name, func(t *testing.T) {
			up, down := answering(t), closed(t)
			says := strings.NewReplacer("HOST", down.Addr().String(), "PORT", fmt.Sprint(down.Port())).Replace(c.says)
			path := bin(t)
			plant(t, path, c.tool+"="+speaking(t, up, says, c.code))
			r := request(up, down)
			out := ran(t, []string{"dash"}, path, r)
			ans, err := shell.Decode(r, out)
			if err != nil || !ans.Self.Echo {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := ans.Results["b"]; got.Stage != c.stage || got.Errno != c.errno {
				t.Errorf("stage %q, errno %q; want %q and %q\n%s", got.Stage, got.Errno, c.stage, c.errno, out)
			}
		})
	}
}

// speaking is a tool that works where up is, and elsewhere says something and ends with code.
func speaking(t *testing.T, up netip.AddrPort, says string, code int) string {
	bash := found(t, "bash")
	need(t, bash, "bash")
	return fmt.Sprintf(`#!%s
url=${!#}
case "$*" in
*%d*)
  exec 3<>/dev/tcp/%s/%d
  case $url in
  http:*) printf 'GET /%%s HTTP/1.0\r\n\r\n' "${url##*:%d/}" >&3 ;;
  *) while IFS= read -r l; do printf '%%s\n' "$l" >&3; done ;;
  esac
  while IFS= read -r l <&3; do printf '%%s\n' "$l"; done
  ;;
*) printf '%%s\n' %s >&2; exit %d ;;
esac
`, bash, up.Port(), up.Addr(), up.Port(), up.Port(), quoted(says), code)
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
