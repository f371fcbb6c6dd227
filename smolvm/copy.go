package smolvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// settleTimeout bounds the command that sets the mode of an upload and counts its bytes.
const settleTimeout = time.Minute

// CopyTo puts a copy of one regular host file at the absolute guest path, making its parent directories and replacing a file that is
// there. mode is its permission bits; 0 takes the host file's. It belongs to root.
//
// Below 1.9.0 the mode is set and the size counted by a command in the guest, which needs chmod and wc; io.ErrShortWrite if bytes
// are missing. The machine must run.
func (c *Client) CopyTo(ctx context.Context, name, hostPath, guestPath string, mode fs.FileMode) error {
	if err := errors.Join(checkName(name), checkGuestFile(guestPath), checkText("host path", hostPath)); err != nil {
		return fmt.Errorf("copying to %q: %w", name, err)
	}
	info, err := os.Stat(hostPath)
	if err != nil {
		return fmt.Errorf("copying to %q: %w: %w", name, ErrInvalid, err)
	}
	if !info.Mode().IsRegular() || mode&^fs.ModePerm != 0 {
		return fmt.Errorf("copying to %q: %w: %q is %s, mode %s asked for: want a regular file and permission bits", name, ErrInvalid, hostPath, info.Mode(), mode)
	}
	if mode == 0 {
		mode = info.Mode().Perm()
	}
	v, err := c.release(ctx)
	if err != nil {
		return err
	}
	source, dir, undo, err := withoutColon(hostPath)
	if err != nil {
		return fmt.Errorf("copying %q to %q: %w", hostPath, name, err)
	}
	defer undo()
	if _, err := c.run(ctx, call{argv: copyToArgs(v, name, source, guestPath, mode), dir: dir, limit: copyLimit}); err != nil {
		return err
	}
	if v.has(copyMode) {
		return nil
	}
	return c.settle(ctx, name, guestPath, mode, info.Size())
}

// settle sets what `cp` does not, and sees whether all of the file is where a command finds it.
func (c *Client) settle(ctx context.Context, name, guestPath string, mode fs.FileMode, size int64) error {
	res, err := c.Exec(ctx, name, Command{
		Argv:    []string{"sh", "-c", `chmod "$1" "$2" && wc -c <"$2"`, "sh", octal(mode), guestPath},
		Timeout: settleTimeout,
	})
	if err != nil {
		return fmt.Errorf("setting the mode of %q in %q: %w", guestPath, name, err)
	}
	if res.ExitCode != 0 {
		return fmt.Errorf("setting the mode of %q in %q: exit %d: %s", guestPath, name, res.ExitCode, shorten(string(bytes.TrimSpace(res.Stderr))))
	}
	if got := string(bytes.TrimSpace(res.Stdout)); got != strconv.FormatInt(size, 10) {
		return fmt.Errorf("copying to %q in %q: %w: %.40q bytes of %d are there", guestPath, name, io.ErrShortWrite, got, size)
	}
	return nil
}

// withoutColon is a name of hostPath that smolvm does not take for NAME:path, and the directory in which it is one. undo removes what
// was made for it.
func withoutColon(hostPath string) (source, dir string, undo func(), err error) {
	abs, err := filepath.Abs(hostPath)
	if err != nil || !strings.Contains(abs, ":") {
		return abs, "", func() {}, err
	}
	if base := filepath.Base(abs); !strings.Contains(base, ":") {
		return "./" + base, filepath.Dir(abs), func() {}, nil
	}
	dir, err = os.MkdirTemp("", "smolvm-cp-")
	if err != nil {
		return "", "", nil, err
	}
	undo = func() { _ = os.RemoveAll(dir) }
	if err := os.Symlink(abs, filepath.Join(dir, "source")); err != nil {
		undo()
		return "", "", nil, err
	}
	return "./source", dir, undo, nil
}

// CopyFrom puts a copy of one regular guest file at hostPath, whose directory must exist. The copy is made beside it and moved there when it
// is whole: a file that is there keeps its content on any error, and its permission bits in any case. A new one has 0600.
//
// The content, and how much of it there is (4 GiB at most), is up to the guest.
func (c *Client) CopyFrom(ctx context.Context, name, guestPath, hostPath string) error {
	if err := errors.Join(checkName(name), checkGuestFile(guestPath), checkText("host path", hostPath)); err != nil {
		return fmt.Errorf("copying from %q: %w", name, err)
	}
	target, err := filepath.Abs(hostPath)
	if err != nil {
		return fmt.Errorf("copying from %q: %w: %w", name, ErrInvalid, err)
	}
	perm, err := targetPerm(target)
	if err != nil {
		return fmt.Errorf("copying from %q: %w: %w", name, ErrInvalid, err)
	}
	// smolvm truncates its target before it asks the guest, so it gets one of our own; by a relative name, since the directory may have a
	// colon in its.
	f, err := os.CreateTemp(filepath.Dir(target), ".smolvm-cp-*")
	if err != nil {
		return fmt.Errorf("copying from %q: %w: %w", name, ErrInvalid, err)
	}
	_ = f.Close() // nothing was written
	defer func() { _ = os.Remove(f.Name()) }()
	dir, base := filepath.Split(f.Name())
	if _, err := c.run(ctx, call{argv: copyFromArgs(name, guestPath, "./"+base), dir: dir, limit: copyLimit}); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), perm); err != nil {
		return fmt.Errorf("copying %q from %q: %w", guestPath, name, err)
	}
	if err := os.Rename(f.Name(), target); err != nil {
		return fmt.Errorf("copying %q from %q: %w", guestPath, name, err)
	}
	return nil
}

// targetPerm is the permission bits that the copy at target gets.
func targetPerm(target string) (fs.FileMode, error) {
	info, err := os.Stat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0o600, nil
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%q is no regular file", target)
	}
	return info.Mode().Perm(), nil
}
