package smolvm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

func list(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "ls", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestList(t *testing.T) {
	for file, want := range map[string][]Machine{
		"empty.json": {},
		"0.8.0.json": {
			{Name: "a", State: StateStopped, PID: 4242, Image: "alpine:3.20", CreatedAt: time.Unix(1779800000, 0), CPUs: 4, MemoryMiB: 8192},
			{Name: "b", State: StateRunning, PID: 77, Network: true, CreatedAt: time.Unix(1779800001, 0), CPUs: 2, MemoryMiB: 1024},
		},
		"1.9.3.json": {
			{Name: "a", State: StateFrozen, CreatedAt: time.Unix(1787300000, 0), CPUs: 1, MemoryMiB: 512, Ephemeral: true,
				Labels: map[string]string{"internal.bottle.slug": "x"}},
		},
		"unknown-forms.json": {{Name: "a", State: "hibernating", CPUs: 4}},
	} {
		t.Run(file, func(t *testing.T) {
			c, fake := scripted(t, "1.9.3", smolvmtest.Reply{Stdout: list(t, file)})
			got, err := c.List(t.Context())
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			wantLines(t, fake, "machine ls --json")
		})
	}
}

func TestListGarbage(t *testing.T) {
	for _, text := range []string{"", "NAME  STATE\n", "{}", "null x", `[1]`, `[{"name":"a"}]`, `[{"state":"running"}]`, `[{"name":1,"state":"x"}]`} {
		c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Stdout: text})
		got, err := c.List(t.Context())
		if e := asError(t, err); got != nil || e.ExitCode != 0 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestStatus(t *testing.T) {
	c, fake := scripted(t, "1.9.3",
		smolvmtest.Reply{Stdout: `{"name":"m","state":"running","pid":7,"unknown":[{}]}`},
		failing("config operation failed: machine status: machine 'm' not found"),
		smolvmtest.Reply{Stdout: `{"name":"other","state":"running"}`},
		smolvmtest.Reply{Stdout: "Machine 'm': running (PID: 7)\n"})
	m, err := c.Status(t.Context(), "m")
	if diff := cmp.Diff(Machine{Name: "m", State: StateRunning, PID: 7}, m); err != nil || diff != "" || !m.Running() {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	_, err = c.Status(t.Context(), "m")
	wantIs(t, err, ErrNotFound)
	for range 2 {
		m, err = c.Status(t.Context(), "m")
		if _ = asError(t, err); m.Running() {
			t.Errorf("%+v", m)
		}
	}
	wantLines(t, fake, "machine status --name m --json", "machine status --name m --json", "machine status --name m --json", "machine status --name m --json")
}

func FuzzParseMachines(f *testing.F) {
	for _, name := range []string{"empty.json", "0.8.0.json", "1.9.3.json", "unknown-forms.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", "ls", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseMachines(text)
		if err == nil && !json.Valid(text) {
			t.Error("a list out of no JSON")
		}
		for _, m := range list {
			if m.Name == "" || m.State == "" {
				t.Errorf("%+v", m)
			}
		}
	})
}
