package agent

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A directory lists what lies beneath a mount; what is to be seen is what lies above.
func TestKindOfWhatIsMountedOnAFile(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "bottle-test-") //nolint:usetesting // t.TempDir() is too long for a socket's address
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listed, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	beneath := listed[0]
	if beneath.Name() != "f" || !beneath.Type().IsRegular() {
		t.Fatalf("%s is %s", beneath.Name(), beneath.Type())
	}
	if got := kindOf(filepath.Join(dir, "s"), beneath); got != fs.ModeSocket {
		t.Errorf("a socket above a file is %s", got)
	}
	if got := kindOf(filepath.Join(dir, "gone"), beneath); !got.IsRegular() {
		t.Errorf("what is gone is %s", got)
	}
}

// A socket that is bound over a file is found by a walk, by whatever name.
func TestWalkSeesWhatIsMountedOnAFile(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "bottle-test-") //nolint:usetesting // t.TempDir() is too long for a socket's address
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	over := filepath.Join(dir, "over it")
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := os.WriteFile(over, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(filepath.Join(dir, "s"), over, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	defer func() { _ = unix.Unmount(over, 0) }()
	v := &sight{until: time.Now().Add(time.Minute)}
	found := false
	v.walk([]place{{dir, 0}}, func(path string, kind fs.FileMode) { found = found || path == over && kind == fs.ModeSocket })
	if !found {
		t.Error("a socket above a file is not seen")
	}
}
