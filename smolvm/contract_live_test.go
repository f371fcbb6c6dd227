package smolvm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

// liveClauses are of the contract too, and not in its transcripts: streams, archives and a server are no text to write down. So what the
// fake answers stands beside them.
var liveClauses = slices.Concat(streamClauses, directoryClauses, packClauses)

type liveClause struct {
	clause
	script func(Version) []smolvmtest.Reply
}

// answers is the script of a clause that is the same for every release.
func answers(replies ...smolvmtest.Reply) func(Version) []smolvmtest.Reply {
	return func(Version) []smolvmtest.Reply { return replies }
}

func guest(stdout, stderr string, exit int) func(Version) []smolvmtest.Reply {
	return answers(smolvmtest.Reply{Argv: []string{"machine", "exec"}, Guest: &smolvmtest.Guest{Stdout: stdout, Stderr: stderr, Exit: exit}})
}

// liveTurningPoints are the releases between which these calls differ.
var liveTurningPoints = []string{"0.8.0", "1.2.5", "1.4.1", "1.7.2", "1.8.0", "1.9.3"}

func TestLiveContractFake(t *testing.T) {
	for _, release := range liveTurningPoints {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			v, err := ParseVersion(release)
			if err != nil {
				t.Fatal(err)
			}
			replies := []smolvmtest.Reply{machineReply("create", smolvmtest.Reply{}), machineReply("start", smolvmtest.Reply{})}
			for _, c := range liveClauses {
				replies = append(replies, c.script(v)...)
			}
			c, _ := scripted(t, release, replies...)
			runLive(t, c, "m")
		})
	}
}

func TestLiveContractEngine(t *testing.T) {
	eachEngine(t, liveTurningPoints, func(t *testing.T, path, release string) {
		c, name, _ := apartClient(t, path, release)
		runLive(t, c, name)
	})
}

func runLive(t *testing.T, c *Client, name string) {
	v, err := c.Version(t.Context())
	if err == nil {
		err = c.Create(t.Context(), name, CreateOptions{})
	}
	if err == nil {
		err = c.Start(t.Context(), name)
	}
	if err != nil {
		t.Fatal(err)
	}
	var list []clause
	for _, live := range liveClauses {
		list = append(list, live.clause)
	}
	runClauses(t, contract{client: c, version: v, name: name}, list, nil)
}

// streamClauses are about a machine that runs and commands that are more than their result.
var streamClauses = []liveClause{
	{clause{"a stream", func(c contract) error {
		var stdout, stderr bytes.Buffer
		cmd := Command{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 4"}, Timeout: time.Minute}
		res, err := c.client.ExecStream(c.Context(), c.name, cmd, &stdout, &stderr)
		return c.same(err, "4 out\n err\n", fmt.Sprintf("%d %s %s", res.ExitCode, &stdout, &stderr))
	}, nil}, guest("out\n", "err\n", 4)},
	{clause{"stdin that ends", func(c contract) error {
		var stdout, stderr bytes.Buffer
		cmd := Command{Argv: []string{"sh", "-c", "cat; echo err >&2; exit 7"}, Timeout: time.Minute}
		res, err := c.client.ExecInteractive(c.Context(), c.name, cmd, Terminal{Stdin: strings.NewReader("to the guest"), Stdout: &stdout, Stderr: &stderr})
		return c.same(err, "7 to the guest err\n", fmt.Sprintf("%d %s %s", res.ExitCode, &stdout, &stderr))
	}, nil}, guest("to the guest", "err\n", 7)},
	{clause{"a command left running", func(c contract) error {
		_, err := c.client.ExecDetached(c.Context(), c.name, Command{Argv: []string{"sh", "-c", "echo left >/tmp/left; exec sleep 60"}})
		return err
	}, nil}, func(v Version) []smolvmtest.Reply {
		if v.has(execDetach) {
			return []smolvmtest.Reply{machineReply("exec", smolvmtest.Reply{Stdout: "42\n"})}
		}
		return guest("42\n", "", 0)(v)
	}},
	{clause{"it has run", func(c contract) error {
		return c.expect(Command{Argv: []string{"sh", "-c", "until [ -s /tmp/left ]; do :; done; cat /tmp/left"}}, Result{Stdout: []byte("left\n")})
	}, nil}, guest("left\n", "", 0)},
	{clause{"its directory on the host", func(c contract) error {
		dir, err := c.client.DataDir(c.Context(), c.name)
		if err == nil && !filepath.IsAbs(dir) {
			err = fmt.Errorf("%q", dir)
		}
		return err
	}, nil}, answers(machineReply("data-dir", smolvmtest.Reply{Stdout: "/vms/0123456789abcdef\n"}))},
	{clause{"what its policy denied", func(c contract) error {
		list, err := c.client.Denials(c.Context(), c.name)
		switch {
		case !c.version.has(denialLog) && errors.Is(err, ErrUnsupported):
			return nil
		case err == nil && len(list) > 0:
			return fmt.Errorf("%v of a machine without a network", list)
		}
		return err
	}, nil}, func(v Version) []smolvmtest.Reply {
		if !v.has(denialLog) {
			return nil
		}
		return []smolvmtest.Reply{machineReply("egress-events", smolvmtest.Reply{Stdout: "[]\n"})}
	}},
	{clause{"update while it runs", func(c contract) error { return c.client.Update(c.Context(), c.name, UpdateOptions{MemoryMiB: 600}) }, ErrState},
		answers(machineReply("update", failing("invalid vm state: expected stopped, got Running")))},
}

// directoryClauses copy trees.
var directoryClauses = []liveClause{
	{clause{"a directory in", func(c contract) error {
		dir := filepath.Join(c.dir, "tree")
		hostFile(c.T, filepath.Join(dir, "sub", strings.Repeat("long", 40)), "content", 0o640)
		hostFile(c.T, filepath.Join(dir, "run"), "#!/bin/sh\necho it runs\n", 0o755)
		return c.client.CopyDirTo(c.Context(), c.name, dir, "/tmp/a/tree")
	}, nil}, func(v Version) []smolvmtest.Reply {
		replies := []smolvmtest.Reply{machineReply("cp", smolvmtest.Reply{})}
		if !v.has(copyMode) {
			replies = append(replies, machineReply("exec", smolvmtest.Reply{Handler: "counts the upload"}))
		}
		return append(replies, guest("", "", 0)(v)...)
	}},
	{clause{"run what is in it", func(c contract) error {
		return c.expect(Command{Argv: []string{"/tmp/a/tree/run"}}, Result{Stdout: []byte("it runs\n")})
	}, nil}, guest("it runs\n", "", 0)},
	{clause{"a directory out", func(c contract) error {
		target := filepath.Join(c.dir, "back")
		if err := c.client.CopyDirFrom(c.Context(), c.name, "/tmp/a/tree", target, DirLimits{}); err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(target, "sub", strings.Repeat("long", 40)))
		return c.same(err, "content", string(text))
	}, nil}, answers(smolvmtest.Reply{Handler: "a tree"})},
	{clause{"a directory with a link out", func(c contract) error {
		if err := c.expect(Command{Argv: []string{"ln", "-s", "/etc", "/tmp/a/tree/link"}}, Result{}); err != nil {
			return err
		}
		return c.client.CopyDirFrom(c.Context(), c.name, "/tmp/a/tree", filepath.Join(c.dir, "back"), DirLimits{})
	}, ErrUnsafe}, func(v Version) []smolvmtest.Reply {
		return append(guest("", "", 0)(v), smolvmtest.Reply{Handler: "a tree with a link"})
	}},
}

// packClauses are about a stopped machine: what can be changed of it and made from it.
var packClauses = []liveClause{
	{clause{"stop", func(c contract) error { return c.client.Stop(c.Context(), c.name) }, nil}, answers(machineReply("stop", smolvmtest.Reply{}))},
	{clause{"update", func(c contract) error {
		if err := c.client.Update(c.Context(), c.name, UpdateOptions{MemoryMiB: 600, Env: []string{"B=2"}}); err != nil {
			return err
		}
		m, err := c.client.Status(c.Context(), c.name)
		return c.same(err, "600", fmt.Sprint(m.MemoryMiB))
	}, nil}, answers(machineReply("update", smolvmtest.Reply{}), machineReply("status", smolvmtest.Reply{Stdout: `{"name":"m","state":"stopped","memory_mib":600}`}))},
	{clause{"a machine from its pack, with a policy", func(c contract) error {
		pack, err := c.client.PackCreate(c.Context(), PackOptions{FromMachine: c.name, Output: filepath.Join(c.dir, "p")})
		if err != nil {
			return err
		}
		name := c.name + "-p"
		if err := c.client.Create(c.Context(), name, CreateOptions{From: pack, Network: policy}); err != nil {
			return err
		}
		p, err := c.client.EffectivePolicy(c.Context(), name)
		if err == nil && p.How == Unknown {
			err = fmt.Errorf("%v", p)
		}
		return errors.Join(err, c.client.Delete(c.Context(), name))
	}, nil}, func(v Version) []smolvmtest.Reply {
		replies := []smolvmtest.Reply{{Argv: []string{"pack", "create"}, Pack: "content"}}
		if v.has(fromKeepsPolicy) {
			replies = append(replies, machineReply("create", smolvmtest.Reply{}))
		} else {
			replies = append(replies, smolvmtest.Reply{Argv: []string{"serve", "start"}, Serve: &smolvmtest.Server{}})
		}
		return append(replies, deleted(true)(v)...)
	}},
}

// same compares what came back with what was to come.
func (c contract) same(err error, want, got string) error {
	if err == nil && got != want {
		err = fmt.Errorf("got %q, want %q", got, want)
	}
	return err
}
