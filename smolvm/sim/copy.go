//go:build linux

package sim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// maxTransfer is the protocol's limit on one file, in bytes.
const maxTransfer = 4 << 30

// defaultMode is what an uploaded file gets: its own mode is not preserved.
const defaultMode = 0o644

func runCopy(s *session, g grammar, a arguments) (int, error) {
	src, dst := a.positional[0], a.positional[1]
	from, fromPath, download := strings.Cut(src, ":")
	to, toPath, upload := strings.Cut(dst, ":")
	if download == upload {
		return 0, configError("cp", "exactly one of SRC and DST must be NAME:PATH")
	}
	req := request{Op: opPut, Path: toPath, Mode: defaultMode}
	for _, n := range []struct {
		long string
		base int
		set  func(uint32)
	}{
		{"mode", 8, func(v uint32) { req.Mode = v & 0o7777 }},
		{"uid", 10, func(v uint32) { req.UID = int(v) }},
		{"gid", 10, func(v uint32) { req.GID = int(v) }},
	} {
		if !a.has(n.long) {
			continue
		}
		text := a.one(n.long, "")
		v, err := strconv.ParseUint(text, n.base, 31)
		if err != nil {
			return 0, g.invalid(n.long, text, "invalid digit found in string")
		}
		if download {
			return 0, configError("cp", "--%s applies to uploads only", n.long)
		}
		n.set(uint32(v))
	}
	if download {
		return 0, s.download(from, request{Op: opTake, Path: fromPath}, dst)
	}
	return 0, s.upload(to, src, req)
}

func (s *session) upload(name, local string, req request) error {
	_, conn, err := s.connect(name)
	if err != nil {
		return err
	}
	defer conn.Close()
	f, err := openRegular(local)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := send(conn, req, f); err != nil {
		return agentError("write file", "%w", err)
	}
	var r reply
	if _, err := receive(conn, &r); err != nil {
		return agentError("write file", "%w", err)
	}
	if r.Error != "" {
		return agentError("write file", "%s", r.Error)
	}
	s.progress("Uploading", r.Size)
	return nil
}

// openRegular opens what may be uploaded. O_NONBLOCK keeps a FIFO from holding the command up before it is refused.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, agentError("read local file", "%s: %s", path, rustText(err))
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = agentError("read local file", "%s: %s", path, rustText(err))
	case info.IsDir():
		err = agentError("read source file", "%s", rustText(syscall.EISDIR))
	case !info.Mode().IsRegular():
		err = agentError("read source file", "%s is not a regular file", path)
	case info.Size() > maxTransfer:
		err = agentError("read source file", "%s is too large: %d bytes (maximum %d)", path, info.Size(), int64(maxTransfer))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// download truncates the local file first and removes it when the guest fails, as smolvm does (client.rs).
func (s *session) download(name string, req request, local string) error {
	_, conn, err := s.connect(name)
	if err != nil {
		return err
	}
	defer conn.Close()
	f, err := os.OpenFile(local, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return agentError("create local file", "%s: %s", local, rustText(err))
	}
	var r reply
	if err = send(conn, req, f); err == nil {
		_, err = receive(conn, &r)
	}
	err = errors.Join(err, f.Close())
	if err != nil || r.Error != "" {
		if rm := os.Remove(local); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
		if r.Error != "" {
			return agentError("read file", "%s", r.Error)
		}
		return agentError("read file", "%w", err)
	}
	s.progress("Downloading", r.Size)
	return nil
}

// progress is smolvm's bar, at its end: it goes to stderr and begins with a carriage return.
func (s *session) progress(verb string, size int64) {
	fmt.Fprintf(s.stderr, "\r%s: %d/%d bytes (100%%)\n", verb, size, size)
}
