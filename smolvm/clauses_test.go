package smolvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const twelveMiB = 12 << 20

// clauses is the contract, in the order of a machine's life.
var clauses = []clause{
	{"status of an unknown machine", func(c contract) error { return c.expectState("") }, ErrNotFound},
	{"start an unknown machine", func(c contract) error { return c.client.Start(c.Context(), c.name) }, ErrNotFound},
	{"exec in an unknown machine", func(c contract) error { _, err := c.exec("true"); return err }, ErrNotFound},
	{"cp to an unknown machine", func(c contract) error { return c.client.CopyTo(c.Context(), c.name, c.hostFile("x"), "/tmp/x", 0) }, ErrNotFound},
	{"stop an unknown machine", func(c contract) error { return c.client.Stop(c.Context(), c.name) }, nil},
	{"delete an unknown machine", func(c contract) error { return c.client.Delete(c.Context(), c.name) }, nil},

	{"create with every option", func(c contract) error { return c.client.Create(c.Context(), c.name, everyOption(c.version)) }, nil},
	{"delete it", func(c contract) error { return c.client.Delete(c.Context(), c.name) }, nil},
	{"create", func(c contract) error { return c.client.Create(c.Context(), c.name, CreateOptions{}) }, nil},
	{"create it again", func(c contract) error { return c.client.Create(c.Context(), c.name, CreateOptions{}) }, ErrExists},
	{"status created", func(c contract) error { return c.expectState(StateCreated) }, nil},
	{"exec before start", func(c contract) error { _, err := c.exec("true"); return err }, ErrNotRunning},

	{"start", func(c contract) error { return c.client.Start(c.Context(), c.name) }, nil},
	{"start it again", func(c contract) error { return c.client.Start(c.Context(), c.name) }, nil},
	{"status running", func(c contract) error { return c.expectState(StateRunning) }, nil},
	{"list", func(c contract) error { return c.listed(StateRunning) }, nil},

	{"exec", func(c contract) error {
		return c.expect(Command{Argv: []string{"sh", "-c", "echo out; printf err >&2; exit 3"}}, Result{Stdout: []byte("out\n"), Stderr: []byte("err"), ExitCode: 3})
	}, nil},
	{"a guest that talks like smolvm", func(c contract) error {
		return c.expect(Command{Argv: []string{"sh", "-c", "echo 'Error: vm not found: m' >&2; exit 1"}}, Result{Stderr: []byte("Error: vm not found: m\n"), ExitCode: 1})
	}, nil},
	{"env, dir and argv as they are", func(c contract) error {
		return c.expect(Command{Argv: []string{"sh", "-c", `printf '%s|' "$PWD" "$A" "$@"`, "sh", "--", "x  y", "", "$A", "-t"}, Env: []string{"A=1 = 1"}, Dir: "/tmp"},
			Result{Stdout: []byte("/tmp|1 = 1|--|x  y||$A|-t|")})
	}, nil},
	{"empty stdin", func(c contract) error { return c.expect(Command{Argv: []string{"cat"}}, Result{}) }, nil},
	{"no such program", func(c contract) error {
		res, err := c.exec("no-such-program")
		if err == nil && res.ExitCode != 127 {
			err = fmt.Errorf("exit %d", res.ExitCode)
		}
		return err
	}, nil},
	{"killed by a signal", func(c contract) error {
		return c.expect(Command{Argv: []string{"sh", "-c", "kill -9 $$"}}, Result{ExitCode: 137})
	}, nil},
	{"12 MiB of output", func(c contract) error {
		res, err := c.exec("sh", "-c", fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x", twelveMiB))
		if err == nil && (res.ExitCode != 0 || len(res.Stdout) != twelveMiB) {
			err = fmt.Errorf("exit %d, %d bytes, %s", res.ExitCode, len(res.Stdout), res.Stderr)
		}
		return err
	}, nil},
	{"four at once", func(c contract) error { return c.parallel(4) }, nil},
	{"the command's timeout", func(c contract) error {
		_, err := c.client.Exec(c.Context(), c.name, Command{Argv: []string{"sleep", "30"}, Timeout: 300 * time.Millisecond})
		return err
	}, context.DeadlineExceeded},
	{"the context's deadline", func(c contract) error {
		ctx, cancel := context.WithTimeout(c.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := c.client.Exec(ctx, c.name, Command{Argv: []string{"sleep", "30"}})
		return err
	}, context.DeadlineExceeded},
	{"it still runs", func(c contract) error { return c.expect(Command{Argv: []string{"true"}}, Result{}) }, nil},

	{"cp in", func(c contract) error {
		return c.client.CopyTo(c.Context(), c.name, c.hostFile("#!/bin/sh\necho it runs\n"), "/tmp/new/dir/a:script", 0o755)
	}, nil},
	{"run it", func(c contract) error {
		return c.expect(Command{Argv: []string{"/tmp/new/dir/a:script"}}, Result{Stdout: []byte("it runs\n")})
	}, nil},
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
	}, nil},
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
	}, nil},

	{"stop", func(c contract) error { return c.client.Stop(c.Context(), c.name) }, nil},
	{"status stopped", func(c contract) error { return c.expectState(StateStopped) }, nil},
	{"stop it again", func(c contract) error { return c.client.Stop(c.Context(), c.name) }, nil},
	{"exec when stopped", func(c contract) error { _, err := c.exec("true"); return err }, ErrNotRunning},
	{"cp when stopped", func(c contract) error {
		return c.client.CopyFrom(c.Context(), c.name, "/etc/passwd", filepath.Join(c.dir, "x"))
	}, ErrNotRunning},
	{"start once more", func(c contract) error { return c.client.Start(c.Context(), c.name) }, nil},
	{"exec once more", func(c contract) error { return c.expect(Command{Argv: []string{"true"}}, Result{}) }, nil},
	{"delete while it runs", func(c contract) error { return c.client.Delete(c.Context(), c.name) }, nil},
	{"it is gone", func(c contract) error { return c.listed("") }, nil},
}
