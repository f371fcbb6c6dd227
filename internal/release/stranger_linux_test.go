package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"bottle.internal/internal/gobuild"
	"bottle.internal/probes"
)

// A host is one that knows nothing of this kit: no sources, no go command, nothing on PATH, and directories that are empty.
type host struct {
	program        string
	home, tmp, cwd string
}

// stranger builds a release for this platform and brings it to such a host.
func stranger(t *testing.T, r gobuild.Release, kills []byte) host {
	t.Helper()
	root, err := gobuild.ModuleDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var load []gobuild.Target
	for _, c := range carried {
		if c.GOARCH == runtime.GOARCH {
			load = append(load, c)
		}
	}
	made, err := build{root: root, dir: t.TempDir()}.all(t.Context(), r, kills, load, []platform{{runtime.GOOS, runtime.GOARCH}})
	if err != nil {
		t.Fatal(err)
	}
	return host{made[len(made)-1].path, t.TempDir(), t.TempDir(), t.TempDir()}
}

// does runs bottle-probe on h. It has no environment but its directories, and not even these if homeless.
func (h host) does(t *testing.T, homeless bool, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), h.program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.cwd, &out, &errOut
	cmd.Env = []string{"TMPDIR=" + h.tmp}
	if !homeless {
		cmd.Env = append(cmd.Env, "HOME="+h.home)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// A released bottle-probe answers where there is nothing but itself and the sandbox.
func TestOnAHostOfStrangers(t *testing.T) {
	kit, err := gobuild.Kit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	record, err := json.Marshal(map[string]any{"kit": kit, "kills": map[string][]string{canaryID: {"m"}}})
	if err != nil {
		t.Fatal(err)
	}
	h := stranger(t, gobuild.Release{Version: "1.2.3", Commit: "c0ffee", Kit: kit}, record)

	t.Run("version", func(t *testing.T) { h.tellsItsVersion(t, kit) })
	t.Run("list", func(t *testing.T) {
		if code, out, errOut := h.does(t, false, "list"); code != 0 || !strings.Contains(out, canaryID) || errOut != "" {
			t.Errorf("exit %d\n%s%s", code, out, errOut)
		}
	})
	t.Run("doctor", h.wantsNoGo)
	t.Run("check", func(t *testing.T) { h.checks(t, false) })
	t.Run("check without a home", func(t *testing.T) { h.checks(t, true) })
	t.Run("verify", h.verifies)
	t.Run("what it does not carry", h.saysWhatItLacks)
	t.Run("nothing is left behind", h.isClean)
}

// canaryID is a probe that needs nothing but a sandbox.
const canaryID = "net.tcp.canary.v4"

func (h host) tellsItsVersion(t *testing.T, kit string) {
	code, out, errOut := h.does(t, false, "--version", "-o", "json")
	var v struct {
		Version, Commit, Kit string
		Released             bool
		Kills                int
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errOut)
	}
	if v.Version != "1.2.3" || v.Commit != "c0ffee" || !v.Released || v.Kit != kit || v.Kills != 1 {
		t.Errorf("%+v, want the kit %s", v, kit)
	}
}

func (h host) wantsNoGo(t *testing.T) {
	_, out, errOut := h.does(t, false, "doctor", "-o", "json")
	var lines []struct {
		Subject, Found, Fix string
		OK                  bool
	}
	if err := json.Unmarshal([]byte(out), &lines); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errOut)
	}
	found := false
	for _, l := range lines {
		found = found || l.Subject == "agent and bundle" && l.OK && strings.Contains(l.Found, "bottle-agent linux/"+runtime.GOARCH)
		if strings.Contains(l.Subject, "go command") || strings.Contains(l.Fix, "install Go") {
			t.Errorf("%+v", l)
		}
	}
	if !found {
		t.Errorf("not a word of what it carries:\n%s", out)
	}
}

// checks asks about a sandbox that is none, and one that keeps nothing but the environment out.
func (h host) checks(t *testing.T, homeless bool) {
	for _, c := range []struct {
		prefix []string
		want   map[string]probes.Verdict
	}{
		{[]string{"/bin/sh", "-c"}, map[string]probes.Verdict{canaryID: probes.Leak, "env.decoy": probes.Leak}},
		{[]string{"/usr/bin/env", "-i"}, map[string]probes.Verdict{canaryID: probes.Leak, "env.decoy": probes.Contained}},
	} {
		code, out, errOut := h.does(t, homeless, append([]string{"check", "--only", canaryID + ",env.decoy", "-o", "json", "--"}, c.prefix...)...)
		var rep probes.Report
		if err := json.Unmarshal([]byte(out), &rep); err != nil || code != 1 || !strings.Contains(errOut, "the agent runs by its path") {
			t.Errorf("%q: exit %d, %v\n%s%s", c.prefix, code, err, out, errOut)
			continue
		}
		for id, want := range c.want {
			if f, err := rep.Finding(id); err != nil || f.Verdict != want {
				t.Errorf("%q: %s, %v; want %s", c.prefix, f, err, want)
			}
		}
	}
}

// saysWhatItLacks asks for what a release does not have with it: one line, and no word of a go command that is missing.
func (h host) saysWhatItLacks(t *testing.T) {
	for _, args := range [][]string{{"run", "--engine", "sim"}, {"selftest"}} {
		code, out, errOut := h.does(t, false, args...)
		if code != 4 || out != "" || strings.Count(errOut, gobuild.ErrNotCarried.Error()) != 1 || strings.Contains(errOut, "go command on PATH") {
			t.Errorf("%q: exit %d\n%s%s", args, code, out, errOut)
		}
	}
	if code, _, errOut := h.does(t, false, "run"); code != 4 || !strings.Contains(errOut, "install smolvm") {
		t.Errorf("exit %d\n%s", code, errOut)
	}
}

// isClean looks at what all of that has left: nothing where it was run, and in the user's cache what is carried.
func (h host) isClean(t *testing.T) {
	for _, dir := range []string{h.tmp, h.cwd} {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind in %s: %v, %v", dir, left, err)
		}
	}
	err := filepath.WalkDir(h.home, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.Contains(path, "/.cache/bottle/") {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
