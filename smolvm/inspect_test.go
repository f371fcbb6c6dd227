package smolvm

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

func TestDataDir(t *testing.T) {
	for release, line := range map[string]string{"1.0.1": "machine data-dir m", "1.0.2": "machine data-dir --name m"} {
		c, fake := scripted(t, release, smolvmtest.Reply{Stdout: "/cache/smolvm/vms/0a 1b/\n"})
		if dir, err := c.DataDir(t.Context(), "m"); err != nil || dir != "/cache/smolvm/vms/0a 1b" {
			t.Errorf("%q, %v", dir, err)
		}
		wantLines(t, fake, line)
	}
	for _, said := range []string{"", "relative\n", "/a\n/b\n", "WARN x\n/a\n"} {
		c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Stdout: said})
		if dir, err := c.DataDir(t.Context(), "m"); err == nil {
			t.Errorf("%q became %q", said, dir)
		}
	}
}

func TestImages(t *testing.T) {
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{Stdout: `[{"reference":"alpine:3","digest":"sha256:a","size":7,"architecture":"arm64","os":"linux","layer_count":2},{"size":"odd"}]`})
	got, err := c.Images(t.Context(), "m")
	want := []Image{{Reference: "alpine:3", Digest: "sha256:a", Size: 7, Architecture: "arm64", OS: "linux", Layers: 2}, {}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	wantLines(t, fake, "machine images --name m --json")
	for _, said := range []string{"", "{}", "[null]", "[1]"} {
		c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Stdout: said})
		if _, err := c.Images(t.Context(), "m"); err == nil {
			t.Errorf("%q was taken", said)
		}
	}
}

func TestPrune(t *testing.T) {
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{Stdout: "nothing to do\n"}, failing("vm not found: m"))
	if said, err := c.Prune(t.Context(), "m", PruneOptions{DryRun: true}); err != nil || said != "nothing to do" {
		t.Errorf("%q, %v", said, err)
	}
	wantLines(t, fake, "machine prune --name m --dry-run")
	wantIs(t, errOf(c.Prune(t.Context(), "m", PruneOptions{})), ErrNotFound)
}

func TestDenials(t *testing.T) {
	c, _ := scripted(t, "1.8.1", smolvmtest.Reply{Stdout: `[{"timestamp":"2026-08-21T10:00:00.5Z","operation":"tcp","dest":"1.1.1.1:443"},{"timestamp":1,"dest":2},{"timestamp":1700000000500},{}]`})
	got, err := c.Denials(t.Context(), "m")
	want := []Denial{
		{time.Date(2026, 8, 21, 10, 0, 0, 5e8, time.UTC), "tcp", "1.1.1.1:443"}, {Time: time.Unix(1, 0).UTC()}, {Time: time.UnixMilli(1700000000500).UTC()}, {},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	c, fake := scripted(t, "1.8.0")
	wantIs(t, errOf(c.Denials(t.Context(), "m")), ErrUnsupported)
	noCalls(t, fake)
	c, _ = scripted(t, "1.9.3", smolvmtest.Reply{Stdout: "none\n"})
	if _, err := c.Denials(t.Context(), "m"); err == nil {
		t.Error("garbage was taken")
	}
}

func TestUpdate(t *testing.T) {
	c, fake := scripted(t, "1.9.3", failing("invalid vm state: expected stopped, got Running"))
	wantIs(t, c.Update(t.Context(), "m", UpdateOptions{MemoryMiB: 512}), ErrState)
	wantLines(t, fake, "machine update --name m --mem 512")
	cidr := UpdateOptions{AllowCIDRs: policy.AllowCIDRs}
	c, fake = scripted(t, "1.9.3")
	wantIs(t, c.Update(t.Context(), "m", cidr), ErrUnsupported)
	noCalls(t, fake)
	c, _ = scripted(t, "1.16.0", smolvmtest.Reply{})
	if err := c.Update(t.Context(), "m", cidr); err != nil {
		t.Error(err)
	}
	for name, o := range map[string]UpdateOptions{
		"nothing": {}, "net and none": {Net: true, NoNet: true}, "negative": {CPUs: -1}, "bad key": {RemoveEnv: []string{"1"}}, "workdir": {Workdir: "w"},
		"env": {Env: []string{"A"}}, "port": {Ports: []Port{{}}}, "volume": {RemoveVolumes: []Volume{{}}}, "CIDR": {RemoveCIDRs: []netip.Prefix{{}}},
	} {
		c, fake := scripted(t, "1.16.0")
		if wantIs(t, c.Update(t.Context(), "m", o), ErrInvalid); t.Failed() {
			t.Fatal(name)
		}
		noCalls(t, fake)
	}
}

// What smolvm and a guest print may be anything; it is taken or refused, and nothing else.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`[{"timestamp":1e300,"operation":"tcp"}]`, "/a/b\n", `[{"name":"m","state":"running"}]`, "12\n34", `{"error":"x"}`, "Error: database is locked"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = parseDenials(text)
		_, _ = parseImages(text)
		_ = moment(json.RawMessage(text))
		if dir, err := parseDir(text); err == nil && dir[0] != '/' {
			t.Errorf("%q is a directory", dir)
		}
		if pid := leadingPID(text); pid < 0 || pid == 1 || lastNumber(text) < 0 {
			t.Errorf("PID %d", pid)
		}
		_ = parseProcesses(text)
		_ = answerError(500, text).Error()
		_ = canonical([]string{string(text)})
		_, _ = errorText(string(text))
		_ = classify(1, string(text))
	})
}
