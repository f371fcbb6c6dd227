package probecli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/probes"
)

// did runs the command line and returns its exit code and what it wrote.
func did(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = Run(t.Context(), args, &out, &errOut)
	return code, out.String(), errOut.String()
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What cannot be done is said in words that help, with the right exit code, before anything is launched.
func TestBadInput(t *testing.T) {
	garbage, broken := file(t, "report.json", `{"schema":`), file(t, "profile.yaml", "waivers: [")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"check here --only net.tcp.canery.v4", ExitUsage, "net.tcp.canary.v4"},
		{"check here --only critical --skip critical", ExitUsage, "leave no probe"},
		{"check here --profile " + broken, ExitUsage, "profile.yaml"},
		{"check here --profile none-such", ExitUsage, "none-such"},
		{"check here --baseline " + garbage, ExitUsage, "report.json"},
		{"check here --allowed here", ExitUsage, "IP address"},
		{"check here -o pdf", ExitUsage, "junit"},
		{"check here -o html -o json", ExitUsage, "standard output"},
		{"check", ExitUsage, "after --"},
		{"check nobody", ExitUsage, "after --"},
		{"check -- /no/such/launcher --now", ExitHarness, "/no/such/launcher"},
		{"check -- false", ExitHarness, "exit code 1"},
		{"check container bottle-no-such-container", ExitHarness, "bottle-no-such-container"},
		{"check here --timeout 1ms --only net.tcp.canary.v4", ExitHarness, "--timeout"},
		{"dial 127.0.0.1", ExitUsage, "a port"},
		{"dial 127.0.0.1:9", ExitUsage, "from where"},
		{"dial 127.0.0.1:9 --machine a --container b", ExitUsage, "machine"},
		{"report " + garbage, ExitUsage, "report.json"},
		{"report /no/such/report.json", ExitUsage, "no such file"},
		{"diff " + garbage + " " + garbage, ExitUsage, "report.json"},
		{"list -o html", ExitUsage, "table or json"},
		{"verify x", ExitUsage, "key"},
		{"certify --key k.pem --certificate c --only net.tcp.allowed.v4", ExitUsage, "whole catalogue"},
		{"certify --key k.pem --certificate c --skip critical", ExitUsage, "whole catalogue"},
		{"verify " + garbage + " --key " + broken, ExitUsage, "PEM"},
		{"selftest --only none-such", ExitUsage, "none-such"},
		{"explode", ExitUsage, "explode"},
		{"run --wait", ExitUsage, "--wait"},
	} {
		code, out, errOut := did(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errOut, c.want) || out != "" {
			t.Errorf("%s: exit %d, want %d and %q; it says:\n%s%s", c.args, code, c.code, c.want, out, errOut)
		}
	}
}

// One run goes to every sink, and each says the same.
func TestOutputs(t *testing.T) {
	dir := t.TempDir()
	var args []string
	for _, name := range []string{"r.json", "r.xml", "r.sarif", "r.tap", "r.html", "r.txt"} {
		args = append(args, "-o", filepath.Join(dir, name))
	}
	code, out, errOut := did(t, append(args, "check", "here", "--only", "net.tcp.canary.v4,fs.host-canary.read")...)
	if code != ExitLeak || !strings.Contains(out, "LEAK") {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	for name, want := range map[string]string{"r.json": `"leak"`, "r.xml": "<failure", "r.sarif": `"level"`, "r.tap": "not ok 1", "r.html": "<html", "r.txt": "LEAK"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s lacks %q: %v", name, want, err)
		}
	}
	again, out, _ := did(t, "report", filepath.Join(dir, "r.json"), "-o", "json")
	var rep probes.Report
	if err := json.Unmarshal([]byte(out), &rep); again != ExitLeak || err != nil || len(rep.Findings) != 2 {
		t.Errorf("exit %d, %v: %s", again, err, out)
	}
	if code, _, errOut := did(t, "check", "here", "--only", "net.tcp.canary.v4,fs.host-canary.read", "--baseline", filepath.Join(dir, "r.json")); code != ExitClean {
		t.Errorf("against itself: exit %d\n%s", code, errOut)
	}
	if code, _, errOut := did(t, "check", "here", "--only", "net.tcp.canary.v4", "--baseline", filepath.Join(dir, "r.json")); code != ExitLeak || !strings.Contains(errOut, "gone") {
		t.Errorf("a probe is gone: exit %d\n%s", code, errOut)
	}
}

func TestSelection(t *testing.T) {
	count := func(only, skip []string) int {
		ids, err := selection{only, skip}.ids()
		if err != nil {
			t.Fatal(err)
		}
		return len(ids)
	}
	all, dns, critical := len(probes.All()), count([]string{"net.dns"}, nil), count([]string{"critical"}, nil)
	if dns == 0 || critical == 0 || count(nil, []string{"net.dns"}) != all-dns || count([]string{"net"}, nil) <= dns {
		t.Errorf("%d of net.dns, %d critical, %d in all", dns, critical, all)
	}
	if n := count([]string{"net.tcp.*", "net.tcp.canary.v4"}, []string{"net.tcp.canary.v4"}); n != count([]string{"net.tcp.*"}, nil)-1 {
		t.Errorf("%d", n)
	}
}

func TestPaint(t *testing.T) {
	var b bytes.Buffer
	p := &painter{to: &b}
	for _, part := range []string{"LEA", "K  L1 x\nCONTAINED y\n", "  LEAK z\nhead"} {
		if _, err := p.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := b.String(), "\x1b[1;31mLEAK\x1b[0m  L1 x\n\x1b[32mCONTAINED\x1b[0m y\n  LEAK z\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
