package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bottle.internal/internal/gobuild"
)

// written is a product of the given size.
func written(t *testing.T, command, content string) product {
	t.Helper()
	p := product{gobuild.Target{Command: command, GOOS: "plan9", GOARCH: "mips"}, filepath.Join(t.TempDir(), command)}
	if err := os.WriteFile(p.path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSame(t *testing.T) {
	one, again, other := written(t, "a", "abc"), written(t, "a", "abc"), written(t, "a", "abd")
	longer, another := written(t, "a", "abcd"), written(t, "b", "abc")
	if err := same([]product{one}, []product{again}); err != nil {
		t.Error(err)
	}
	for want, second := range map[string][]product{
		"byte 2 on": {other}, "byte 3 on": {longer}, "was built once": {another}, "2 the second": {again, another}, "0 the second": nil,
	} {
		if err := same([]product{one}, second); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestBudgets(t *testing.T) {
	big := strings.Repeat("x", agentLimit)
	for want, p := range map[string]product{
		"": written(t, "bottle-agent", big), "bottle-agent": written(t, "bottle-agent", big+"x"), "at most 30": written(t, "bottle-probe", strings.Repeat("x", probeLimit+1)),
	} {
		err := held(t.Context(), []product{p}, t.Logf)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A program that takes its time to start is over the budget, and one that does not start is an error.
func TestStart(t *testing.T) {
	script := func(text string) product {
		p := written(t, "bottle-probe", "#!/bin/sh\n"+text+"\n")
		if err := os.Chmod(p.path, 0o700); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for want, p := range map[string]product{"are allowed": script("sleep 0.05"), "exit status 3": script("exit 3")} {
		p.GOOS, p.GOARCH = runtime.GOOS, runtime.GOARCH
		if err := held(t.Context(), []product{p}, t.Logf); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestVersion(t *testing.T) {
	for want, of := range map[string][2]string{
		"1.2.3": {"v1.2.3", "abc"}, "1.2.3-4-gabc-dirty": {"v1.2.3-4-gabc-dirty", "abc"}, "0.0.0-abc": {"", "abc"}, "0.0.0-unknown": {"", ""},
	} {
		if got := version(of[0], of[1]); got != want {
			t.Errorf("%q: %s, want %s", of, got, want)
		}
	}
}

// What is published is what was made, and the sums are those that sha256sum checks.
func TestPublish(t *testing.T) {
	root, err := gobuild.ModuleDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	built, err := gobuild.Binary(t.Context(), gobuild.Target{Command: "bottle-agent", GOOS: "linux"}) // stands in for the probe: it is small
	if err != nil {
		t.Fatal(err)
	}
	self := product{gobuild.Target{Command: "bottle-probe", GOOS: "linux", GOARCH: "amd64"}, built}
	first, second := filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "dist")
	for _, out := range []string{first, second} {
		if err := publish(root, out, gobuild.Release{Version: "1.2.3", Kit: "k"}, []byte("{}"), []product{self}, t.Logf); err != nil {
			t.Fatal(err)
		}
	}
	sums, err := os.ReadFile(filepath.Join(first, sumsName))
	again, err2 := os.ReadFile(filepath.Join(second, sumsName))
	if err := errors.Join(err, err2); err != nil || !bytes.Equal(sums, again) {
		t.Errorf("the second time it is another release, %v:\n%s%s", err, sums, again)
	}
	for _, name := range []string{"bottle-probe_1.2.3_linux_amd64.tar.gz", "bottle-probe_1.2.3_linux_amd64.cdx.json", "kills-k.json"} {
		sum, err := fileSum(filepath.Join(first, name))
		if err != nil || !strings.Contains(string(sums), sum+"  "+name+"\n") {
			t.Errorf("%s: %s, %v", name, sum, err)
		}
	}
	want, err := os.ReadFile(self.path)
	if err != nil {
		t.Fatal(err)
	}
	files := unarchived(t, filepath.Join(first, "bottle-probe_1.2.3_linux_amd64.tar.gz"))
	if !bytes.Equal(files["bottle-probe_1.2.3_linux_amd64/bottle-probe"], want) || len(files) != 3 {
		t.Errorf("the archive has %d files", len(files))
	}
}

func unarchived(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
