package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// walked is how many sockets a walk below dir finds, and whether it says that there may be more.
func walked(dir string) (found int, cut bool) {
	v := &sight{until: time.Now().Add(time.Minute)}
	v.walk([]place{{dir, 1}}, func(_ string, kind fs.FileMode) {
		if kind&fs.ModeSocket != 0 {
			found++
		}
	})
	return found, v.cut
}

// manyFiles is a directory for tens of thousands of files, in memory where that is.
func manyFiles(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/dev/shm"); err == nil {
		t.Setenv("TMPDIR", "/dev/shm")
	}
	return t.TempDir()
}

// socketsIn makes directories below dir, from one number on and up to another, with a socket in each.
func socketsIn(t *testing.T, dir string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		sub := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mknod(filepath.Join(sub, "docker.sock"), unix.S_IFSOCK|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// A walk of an ordinary host's directories comes to its end, and one that leaves a directory out says so.
func TestWalkSaysThatItWasCut(t *testing.T) {
	dir := manyFiles(t)
	socketsIn(t, dir, 0, 600)
	if found, cut := walked(dir); found != 600 || cut {
		t.Errorf("%d of 600, cut %t", found, cut)
	}
	socketsIn(t, dir, 600, mostDirs)
	if found, cut := walked(dir); found != mostDirs-1 || !cut { // dir is one of them
		t.Errorf("%d of %d, cut %t", found, mostDirs, cut)
	}
}

func TestWalkSaysThatADirectoryWasCut(t *testing.T) {
	dir := manyFiles(t)
	for i := range mostNames {
		if err := unix.Mknod(filepath.Join(dir, strconv.Itoa(i)), unix.S_IFSOCK|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	if found, cut := walked(dir); found != mostNames || !cut {
		t.Errorf("%d, cut %t", found, cut)
	}
}
