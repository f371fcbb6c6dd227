package smolvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// copyDirLimit bounds tar in the guest.
const copyDirLimit = 30 * time.Minute

// unpackScript unpacks $1 below $2 and removes it, whatever becomes of it. -o: not with the owners that the archive names.
const unpackScript = `mkdir -p -- "$2" && tar -x -o -f "$1" -C "$2"; rc=$?; rm -f -- "$1"; exit $rc`

// CopyDirTo puts a copy of what is in the host directory into the absolute guest directory, which is made if it is not there; files in the
// way are replaced, others stay. Permission bits are kept, all of it belongs to root, and a symbolic link is copied as one, wherever it
// points. The guest needs sh and tar, and room for the archive in /tmp. ErrInvalid for what is no file, directory or link (a socket, a
// device). 4 GiB at most. The machine must run.
func (c *Client) CopyDirTo(ctx context.Context, name, hostDir, guestDir string) error {
	if err := errors.Join(checkName(name), checkGuestPath(guestDir), checkText("host path", hostDir)); err != nil {
		return fmt.Errorf("copying to %q: %w", name, err)
	}
	archive, err := archived(hostDir)
	if err != nil {
		return fmt.Errorf("copying %q to %q: %w", hostDir, name, err)
	}
	defer func() { _ = os.Remove(archive) }()
	there := "/tmp/." + newNonce() + ".tar"
	if err := c.CopyTo(ctx, name, archive, there, 0o600); err != nil {
		return fmt.Errorf("copying %q to %q: %w", hostDir, name, err)
	}
	res, err := c.Exec(ctx, name, Command{Argv: []string{"sh", "-c", unpackScript, "sh", there, guestDir}, Timeout: copyDirLimit})
	if err == nil && res.ExitCode != 0 {
		err = guestFailure(res.ExitCode, res.Stderr)
	}
	if err != nil {
		return fmt.Errorf("unpacking %q in %q: %w", guestDir, name, err)
	}
	return nil
}

// archived is a new file with hostDir as a tar. A caller removes it.
func archived(hostDir string) (path string, err error) {
	root, err := os.OpenRoot(hostDir)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer func() { _ = root.Close() }()
	f, err := os.CreateTemp("", "smolvm-dir-*.tar")
	if err != nil {
		return "", err
	}
	err = errors.Join(packDir(f, root), f.Close())
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func guestFailure(code int, stderr []byte) error {
	return fmt.Errorf("exit %d: %s", code, shorten(string(bytes.TrimSpace(stderr))))
}

// DirLimits bound what a guest may send. The zero value is 4 GiB in 100000 entries.
type DirLimits struct {
	// Bytes is how much all files hold together; 0 is 4 GiB.
	Bytes int64
	// Entries is how many files and directories there are; 0 is 100000.
	Entries int
}

// CopyDirFrom puts a copy of what is in the absolute guest directory at hostDir, which must not exist or be empty, and whose parent must
// exist. It is made beside it and moved there when it is whole: on any error nothing is left.
//
// The guest is not trusted: nothing is written outside, and ErrUnsafe ends the call at an entry that is no plain file or directory (a link, a
// device), at one whose path leads elsewhere, at one that comes twice, and at limits. Permission bits are kept but for the ones beyond
// 0777, owners are not. Content and names are up to the guest. The guest needs sh and tar; the machine must run.
func (c *Client) CopyDirFrom(ctx context.Context, name, guestDir, hostDir string, limits DirLimits) error {
	if err := errors.Join(checkName(name), checkGuestPath(guestDir), checkText("host path", hostDir), limits.check()); err != nil {
		return fmt.Errorf("copying from %q: %w", name, err)
	}
	target, err := filepath.Abs(hostDir)
	if err == nil {
		err = vacant(target)
	}
	if err != nil {
		return fmt.Errorf("copying from %q: %w: %w", name, ErrInvalid, err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(target), ".smolvm-cp-")
	if err != nil {
		return fmt.Errorf("copying from %q: %w: %w", name, ErrInvalid, err)
	}
	if err = c.receiveDir(ctx, name, guestDir, dir, limits); err == nil {
		_ = os.Remove(target) // an empty directory that is there; what is not empty stays, and is in the way
		err = os.Rename(dir, target)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("copying %q from %q: %w", guestDir, name, err), os.RemoveAll(dir))
	}
	return nil
}

func (l DirLimits) check() error {
	if l.Bytes < 0 || l.Entries < 0 {
		return fmt.Errorf("%w: limits of %d bytes and %d entries", ErrInvalid, l.Bytes, l.Entries)
	}
	return nil
}

// vacant reports an error unless a directory can be moved to path.
func vacant(path string) error {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%q is not empty", path)
	}
	return nil
}

// receiveDir has the guest's tar write to its stdout and unpacks that as it comes, so that a guest which does not stop fills nothing.
func (c *Client) receiveDir(ctx context.Context, name, guestDir, dir string, limits DirLimits) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	r, w := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := unpackDir(r, root, limits)
		r.CloseWithError(errors.Join(errUnpacked, err)) // the guest's tar cannot go on then
		unpacked <- err
	}()
	said := &tap{}
	res, err := c.ExecStream(ctx, name, Command{Argv: []string{"tar", "-c", "-f", "-", "-C", guestDir, "."}, Timeout: copyDirLimit}, w, said)
	w.CloseWithError(cmpErr(err, io.EOF))
	unpackErr := <-unpacked
	switch {
	case errors.Is(unpackErr, ErrUnsafe), errors.Is(err, errUnpacked):
		return cmpErr(unpackErr, err)
	case err != nil:
		return err
	case res.ExitCode != 0:
		return guestFailure(res.ExitCode, said.tail)
	}
	return unpackErr
}

// errUnpacked ends the guest's tar when there is nobody to read it.
var errUnpacked = errors.New("unpacking has ended")
