package agent

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

func TestUnix(t *testing.T) {
	dir := t.TempDir()
	path, name := filepath.Join(dir, "s"), "@bottle-"+string(echo.NewNonce())
	streamCanary(t, "unix", path)
	streamCanary(t, "unix", name)
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for _, c := range []struct {
		path  string
		stage Stage
		errno string
		want  Observation
	}{
		{path, StageDone, "", Reachable},
		{name, StageDone, "", Reachable},
		{"\x00" + name[1:], StageDone, "", Reachable},
		{dead, StageConnect, "ECONNREFUSED", Refused},
		{filepath.Join(dir, "none"), StageConnect, "ENOENT", Absent},
		{path + "/x", StageConnect, "ENOTDIR", Absent},
		{name + "x", StageConnect, "ECONNREFUSED", Refused},
	} {
		made(t, Attempt{Network: Unix, Path: c.path}).reads(t, c.stage, c.errno, c.want)
	}
}

// A listener that takes nobody is silence, and the attempt waits for its budget.
func TestUnixFull(t *testing.T) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	path := filepath.Join(t.TempDir(), "full")
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	made(t, Attempt{Network: Unix, Path: path, BudgetMS: 20}).reads(t, StageRead, "", HandshakeOnly)
	conn, err := net.Dial("unix", path) // the one place that there is
	if err == nil {
		defer func() { _ = conn.Close() }()
	}
	start := time.Now()
	made(t, Attempt{Network: Unix, Path: path, BudgetMS: 200}).reads(t, StageConnect, "", Filtered)
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("gave up after %s", took)
	}
}
