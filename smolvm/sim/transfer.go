//go:build linux

package sim

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Files are copied by pid 1: in the guest's own mount namespace every path, symbolic links and all, is the guest's.

// guestPath makes a path absolute: a relative one starts at the root, and ".." is refused.
func guestPath(p string) (string, error) {
	if p == "" {
		return "", errors.New("path must not be empty")
	}
	if slices.Contains(strings.Split(p, "/"), "..") {
		return "", errors.New("path must not contain '..'")
	}
	return path.Clean("/" + p), nil
}

// put writes src to a file: parents are made, and the name changes hands at once when the content is complete.
func (a *agent) put(conn *net.UnixConn, req request, src *os.File) reply {
	target, err := guestPath(req.Path)
	if err != nil {
		return reply{Error: err.Error()}
	}
	if err := os.MkdirAll(path.Dir(target), 0o755); err != nil {
		return reply{Error: "failed to create parent directory: " + rustText(err)}
	}
	var random [6]byte
	_, _ = rand.Read(random[:])
	tmp := path.Join(path.Dir(target), ".smolvm-cp-"+hex.EncodeToString(random[:]))
	size, err := a.fill(conn, tmp, src, req)
	if err != nil {
		_ = os.Remove(tmp)
		return reply{Error: "failed to write " + target + ": " + rustText(err)}
	}
	// Not os.Rename, whose errno for a directory is its own.
	if err := syscall.Rename(tmp, target); err != nil {
		_ = os.Remove(tmp)
		return reply{Error: "failed to rename onto " + target + ": " + rustText(err)}
	}
	return reply{Size: size}
}

func (a *agent) fill(conn *net.UnixConn, tmp string, src *os.File, req request) (int64, error) {
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := transfer(conn, f, src)
	if err == nil {
		err = a.cut(f, size)
	}
	if err != nil {
		return 0, err
	}
	if err := f.Chown(req.UID, req.GID); err != nil {
		return 0, err
	}
	return size, f.Chmod(os.FileMode(req.Mode & 0o777))
}

// take writes a file of the guest's to dst.
func (a *agent) take(conn *net.UnixConn, req request, dst *os.File) reply {
	source, err := guestPath(req.Path)
	if err != nil {
		return reply{Error: err.Error()}
	}
	f, err := os.OpenFile(source, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return reply{Error: "failed to open " + source + ": " + rustText(err)}
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return reply{Error: "failed to read " + source + ": " + rustText(err)}
	case info.IsDir():
		return reply{Error: "read source file: " + rustText(syscall.EISDIR)}
	case !info.Mode().IsRegular():
		return reply{Error: source + " is not a regular file"}
	}
	size, err := transfer(conn, dst, f)
	if err == nil {
		err = a.cut(dst, size)
	}
	if err != nil {
		return reply{Error: "failed to read " + source + ": " + rustText(err)}
	}
	return reply{Size: size}
}

// cut halves a copied file where faultCopyTruncates asks for it.
func (a *agent) cut(f *os.File, size int64) error {
	if !a.config.Faults.has(faultCopyTruncates) {
		return nil
	}
	return f.Truncate(size / 2)
}

// chunk is how much is copied between two looks at whether the client is still there.
const chunk = 4 << 20

var errTooLarge = errors.New("file exceeds the limit of 4 GiB")

// transfer copies a whole file, and stops when the client hangs up.
func transfer(conn *net.UnixConn, dst io.Writer, src io.Reader) (int64, error) {
	hangup := make(chan struct{})
	go func() {
		_, _ = conn.Read(make([]byte, 1))
		close(hangup)
	}()
	var total int64
	for {
		n, err := io.CopyN(dst, src, chunk)
		total += n
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		if total > maxTransfer {
			return total, errTooLarge
		}
		select {
		case <-hangup:
			return total, syscall.ECONNRESET
		default:
		}
	}
}
