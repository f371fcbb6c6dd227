//go:build linux

package sim

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// A file that was not closed closes its descriptor's number when it is collected: by then that is some command's connection.
func TestListenerOfClosesItsFile(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	same, err := listenerOf(f)
	if err != nil {
		t.Fatal(err)
	}
	defer same.Close()
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is still open: closing it says %v", err)
	}
}
