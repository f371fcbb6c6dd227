package smolvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bottle.internal/smolvm/smolvmtest"
)

// answers is the script of a clause that is the same for every release.
func answers(replies ...smolvmtest.Reply) func(Version) []smolvmtest.Reply {
	return func(Version) []smolvmtest.Reply { return replies }
}

func guest(stdout, stderr string, exit int) func(Version) []smolvmtest.Reply {
	return answers(smolvmtest.Reply{Argv: []string{"machine", "exec"}, Guest: &smolvmtest.Guest{Stdout: stdout, Stderr: stderr, Exit: exit}})
}

func machineReply(verb string, r smolvmtest.Reply) smolvmtest.Reply {
	r.Argv = []string{"machine", verb}
	return r
}

const (
	notFound   = "vm not found: m"
	notRunning = "agent operation failed: connect: machine 'm' is not running. Use 'smolvm machine start --name m' first."
)

// deleted is a delete that meets a machine, or none.
func deleted(there bool) func(Version) []smolvmtest.Reply {
	return func(v Version) []smolvmtest.Reply {
		var replies []smolvmtest.Reply
		if !v.has(deleteStops) {
			replies = append(replies, machineReply("stop", smolvmtest.Reply{Stdout: "Stopped machine: m\n"}))
		}
		if !there {
			return append(replies, machineReply("delete", failing(notFound)))
		}
		replies = append(replies, machineReply("delete", smolvmtest.Reply{Stdout: "Deleted machine: m\n"}))
		if !v.has(deleteConfirms) {
			replies = append(replies, machineReply("ls", smolvmtest.Reply{Stdout: "[]\n"}))
		}
		return replies
	}
}

func stopUnknown(v Version) []smolvmtest.Reply {
	if v.AtLeast(0, 8, 1) {
		return []smolvmtest.Reply{machineReply("stop", failing(notFound))}
	}
	return []smolvmtest.Reply{machineReply("stop", smolvmtest.Reply{Stdout: "Machine 'm' not found or not running\n"})}
}

func state(word string) func(Version) []smolvmtest.Reply {
	return answers(machineReply("status", smolvmtest.Reply{Stdout: `{"name":"m","state":"` + word + `","pid":1}`}))
}

func copiedIn(size string) func(Version) []smolvmtest.Reply {
	return func(v Version) []smolvmtest.Reply {
		replies := []smolvmtest.Reply{machineReply("cp", smolvmtest.Reply{})}
		if !v.has(copyMode) {
			replies = append(replies, guest(size+"\n", "", 0)(v)...)
		}
		return replies
	}
}

const twelveMiB = 12 << 20

// clauses is the contract, in the order of a machine's life.
var clauses = []clause{
	{"status of an unknown machine", func(c contract) error { return c.expectState("") }, ErrNotFound,
		answers(machineReply("status", failing("config operation failed: machine status: machine 'm' not found")))},
	{"start an unknown machine", func(c contract) error { return c.client.Start(c.Context(), c.name) }, ErrNotFound,
		answers(machineReply("start", failing(notFound)))},
	{"exec in an unknown machine", func(c contract) error { _, err := c.exec("true"); return err }, ErrNotFound,
		answers(machineReply("exec", failing(notFound)))},
	{"cp to an unknown machine", func(c contract) error { return c.client.CopyTo(c.Context(), c.name, c.hostFile("x"), "/tmp/x", 0) }, ErrNotFound,
		answers(machineReply("cp", failing(notFound)))},
	{"stop an unknown machine", func(c contract) error { return c.client.Stop(c.Context(), c.name) }, nil, stopUnknown},
	{"delete an unknown machine", func(c contract) error { return c.client.Delete(c.Context(), c.name) }, nil, deleted(false)},

	{"create with every option", func(c contract) error { return c.client.Create(c.Context(), c.name, everyOption(c.version)) }, nil,
		answers(machineReply("create", smolvmtest.Reply{Stdout: "Created machine: m\n"}))},
	{"delete it", func(c contract) error { return c.client.Delete(c.Context(), c.name) }, nil, deleted(true)},
	{"create", func(c contract) error { return c.client.Create(c.Context(), c.name, CreateOptions{}) }, nil,
		answers(machineReply("create", smolvmtest.Reply{Stdout: "Created machine: m\n"}))},
	{"create it again", func(c contract) error { return c.client.Create(c.Context(), c.name, CreateOptions{}) }, ErrExists,
		answers(machineReply("create", failing("config operation failed: create machine: machine 'm' already exists")))},
	{"status created", func(c contract) error { return c.expectState(StateCreated) }, nil, state(StateCreated)},
	{"exec before start", func(c contract) error { _, err := c.exec("true"); return err }, ErrNotRunning,
		answers(machineReply("exec", failing(notRunning)))},

	{"start", func(c contract) error { return c.client.Start(c.Context(), c.name) }, nil,
		answers(machineReply("start", smolvmtest.Reply{Stdout: "Machine 'm' running (PID: 1)\n", Stderr: "Starting machine 'm'...\n"}))},
	{"start it again", func(c contract) error { return c.client.Start(c.Context(), c.name) }, nil,
		answers(machineReply("start", smolvmtest.Reply{Stdout: "Machine 'm' already running (PID: 1)\n"}))},
	{"status running", func(c contract) error { return c.expectState(StateRunning) }, nil, state(StateRunning)},
	{"list", func(c contract) error { return c.listed(StateRunning) }, nil,
		answers(machineReply("ls", smolvmtest.Reply{Stdout: `[{"name":"x","state":"y"},{"name":"m","state":"running"}]`}))},

	{"exec", func(c contract) error {
		return c.expect(Command{Argv: []string{"sh", "-c", "echo out; printf err >&2; exit 3"}}, Result{Stdout: []byte("out\n"), Stderr: []byte("err"), ExitCode: 3})
	}, nil, guest("out\n", "err", 3)},
	{"a guest that talks like smolvm", func(c contract) error {
		return c.expect(Command{Argv: []string{"sh", "-c", "echo 'Error: vm not found: m' >&2; exit 1"}}, Result{Stderr: []byte("Error: vm not found: m\n"), ExitCode: 1})
	}, nil, guest("", "Error: vm not found: m\n", 1)},
	{"env, dir and argv as they are", func(c contract) error {
		return c.expect(Command{Argv: []string{"sh", "-c", `printf '%s|' "$PWD" "$A" "$@"`, "sh", "--", "x  y", "", "$A", "-t"}, Env: []string{"A=1 = 1"}, Dir: "/tmp"},
			Result{Stdout: []byte("/tmp|1 = 1|--|x  y||$A|-t|")})
	}, nil, guest("/tmp|1 = 1|--|x  y||$A|-t|", "", 0)},
	{"empty stdin", func(c contract) error { return c.expect(Command{Argv: []string{"cat"}}, Result{}) }, nil, guest("", "", 0)},
	{"no such program", func(c contract) error {
		res, err := c.exec("no-such-program")
		if err == nil && res.ExitCode != 127 {
			err = fmt.Errorf("exit %d", res.ExitCode)
		}
		return err
	}, nil, guest("", "sh: no-such-program: not found\n", 127)},
	{"killed by a signal", func(c contract) error {
		return c.expect(Command{Argv: []string{"sh", "-c", "kill -9 $$"}}, Result{ExitCode: 137})
	}, nil, guest("", "", 137)},
	{"12 MiB of output", func(c contract) error {
		res, err := c.exec("sh", "-c", fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x", twelveMiB))
		if err == nil && (res.ExitCode != 0 || len(res.Stdout) != twelveMiB) {
			err = fmt.Errorf("exit %d, %d bytes, %s", res.ExitCode, len(res.Stdout), res.Stderr)
		}
		return err
	}, nil, answers(smolvmtest.Reply{Handler: "12 MiB"})},
	{"four at once", func(c contract) error { return c.parallel(4) }, nil,
		answers(machineReply("exec", smolvmtest.Reply{Times: 4, Guest: &smolvmtest.Guest{Stdout: "together\n"}}))},
	{"the command's timeout", func(c contract) error {
		_, err := c.client.Exec(c.Context(), c.name, Command{Argv: []string{"sleep", "30"}, Timeout: 300 * time.Millisecond})
		return err
	}, context.DeadlineExceeded, answers(machineReply("exec", smolvmtest.Reply{Delay: 300 * time.Millisecond, Exit: 124}))},
	{"the context's deadline", func(c contract) error {
		ctx, cancel := context.WithTimeout(c.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := c.client.Exec(ctx, c.name, Command{Argv: []string{"sleep", "30"}})
		return err
	}, context.DeadlineExceeded, answers(machineReply("exec", smolvmtest.Reply{Delay: time.Minute}))},
	{"it still runs", func(c contract) error { return c.expect(Command{Argv: []string{"true"}}, Result{}) }, nil, guest("", "", 0)},

	{"cp in", func(c contract) error {
		return c.client.CopyTo(c.Context(), c.name, c.hostFile("#!/bin/sh\necho it runs\n"), "/tmp/new/dir/a:script", 0o755)
	}, nil, copiedIn("23")},
	{"run it", func(c contract) error {
		return c.expect(Command{Argv: []string{"/tmp/new/dir/a:script"}}, Result{Stdout: []byte("it runs\n")})
	}, nil, guest("it runs\n", "", 0)},
	{"cp out", func(c contract) error {
		target := filepath.Join(c.dir, "back")
		if err := c.client.CopyFrom(c.Context(), c.name, "/tmp/new/dir/a:script", target); err != nil {
			return err
		}
		text, err := os.ReadFile(target)
		if err == nil && !bytes.Equal(text, []byte("#!/bin/sh\necho it runs\n")) {
			err = fmt.Errorf("%q came back", text)
		}
		return err
	}, nil, answers(machineReply("cp", smolvmtest.Reply{Download: "#!/bin/sh\necho it runs\n"}))},
	{"cp out of what is not there", func(c contract) error {
		kept := c.hostFile("precious")
		err := c.client.CopyFrom(c.Context(), c.name, "/tmp/no/such/file", kept)
		e := (*Error)(nil)
		if !errors.As(err, &e) {
			return fmt.Errorf("%w, want an *Error", err)
		}
		text, err := os.ReadFile(kept)
		if err == nil && string(text) != "precious" {
			err = fmt.Errorf("the file that was there holds %q", text)
		}
		return err
	}, nil, answers(machineReply("cp", failing("agent operation failed: read file: No such file or directory (os error 2)")))},

	{"stop", func(c contract) error { return c.client.Stop(c.Context(), c.name) }, nil,
		answers(machineReply("stop", smolvmtest.Reply{Stdout: "Stopped machine: m\n"}))},
	{"status stopped", func(c contract) error { return c.expectState(StateStopped) }, nil, state(StateStopped)},
	{"stop it again", func(c contract) error { return c.client.Stop(c.Context(), c.name) }, nil,
		answers(machineReply("stop", smolvmtest.Reply{Stdout: "Machine 'm' is not running (state: stopped)\n"}))},
	{"exec when stopped", func(c contract) error { _, err := c.exec("true"); return err }, ErrNotRunning,
		answers(machineReply("exec", failing(notRunning)))},
	{"cp when stopped", func(c contract) error {
		return c.client.CopyFrom(c.Context(), c.name, "/etc/passwd", filepath.Join(c.dir, "x"))
	}, ErrNotRunning, answers(machineReply("cp", failing(notRunning)))},
	{"start once more", func(c contract) error { return c.client.Start(c.Context(), c.name) }, nil,
		answers(machineReply("start", smolvmtest.Reply{Stdout: "Machine 'm' running (PID: 2)\n"}))},
	{"exec once more", func(c contract) error { return c.expect(Command{Argv: []string{"true"}}, Result{}) }, nil, guest("", "", 0)},
	{"delete while it runs", func(c contract) error { return c.client.Delete(c.Context(), c.name) }, nil, deleted(true)},
	{"it is gone", func(c contract) error { return c.listed("") }, nil, answers(machineReply("ls", smolvmtest.Reply{Stdout: "[]\n"}))},
}
