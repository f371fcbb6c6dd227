package smolvm

import (
	"archive/tar"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

var archiveName = regexp.MustCompile(`/(tmp/\.smolvm-[A-Z0-9]+|\S*/smolvm-dir-\d+)\.tar`)

func TestCopyDirTo(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir()) // nobody else's archives
	hostFile(t, filepath.Join(dir, "sub", "f"), "content", 0o750)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{}, smolvmtest.Reply{Guest: &smolvmtest.Guest{}})
	if err := c.CopyDirTo(t.Context(), "m", dir, "/guest dir"); err != nil {
		t.Fatal(err)
	}
	lines := fake.Lines()
	for i := range lines {
		lines[i] = archiveName.ReplaceAllString(lines[i], "ARCHIVE")
	}
	want := []string{"machine cp --mode 600 ARCHIVE m:ARCHIVE", "machine exec --name m --stream --timeout 1800s -- sh -c " + unpackScript + " sh ARCHIVE /guest dir"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got := tarNames(t, fake.Calls()[1].Upload)
	if diff := cmp.Diff(map[string]string{"link": "777 2 /etc/passwd", "sub/": "755 5 ", "sub/f": "750 0 "}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "smolvm-dir-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestCopyDirToFailing(t *testing.T) {
	dir := t.TempDir()
	for name, row := range map[string]struct {
		replies []smolvmtest.Reply
		want    string
	}{
		"cp fails":          {[]smolvmtest.Reply{failing(notRunning)}, "not running"},
		"tar fails":         {[]smolvmtest.Reply{{}, {Guest: &smolvmtest.Guest{Stderr: "tar: no room\n", Exit: 2}}}, "exit 2: tar: no room"},
		"exec does not run": {[]smolvmtest.Reply{{}, failing(notRunning)}, "unpacking"},
	} {
		c, _ := scripted(t, "1.9.3", row.replies...)
		if err := c.CopyDirTo(t.Context(), "m", dir, "/g"); !contains(err, row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for name, row := range map[string][2]string{
		"a socket in it": {dir, "/g"}, "no directory": {filepath.Join(dir, "none"), "/g"}, "a file": {os.Args[0], "/g"}, "relative": {dir, "g"},
	} {
		c, fake := scripted(t, "1.9.3")
		if wantIs(t, c.CopyDirTo(t.Context(), "m", row[0], row[1]), ErrInvalid); t.Failed() {
			t.Fatal(name)
		}
		noCalls(t, fake)
	}
}

// tarNames is mode, type and target of each entry.
func tarNames(t *testing.T, archive string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for in := tar.NewReader(strings.NewReader(archive)); ; {
		h, err := in.Next()
		if err != nil {
			return all
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%q belongs to %d:%d %q", h.Name, h.Uid, h.Gid, h.Uname)
		}
		all[h.Name] = octal(fs.FileMode(h.Mode)) + " " + string(h.Typeflag) + " " + h.Linkname
	}
}

// The script for a guest, with the tar of this host.
func TestUnpackScript(t *testing.T) {
	dir, target := t.TempDir(), filepath.Join(t.TempDir(), "new dir")
	hostFile(t, filepath.Join(dir, "f"), "x", 0o640)
	archive, err := archived(dir)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-c", unpackScript, "sh", archive, target).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff(map[string]string{"f": "-rw-r----- x"}, tree(t, target)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := os.Stat(archive); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the archive is left: %v", err)
	}
	if err := exec.Command("sh", "-c", unpackScript, "sh", archive, target).Run(); err == nil {
		t.Error("no archive is a success")
	}
}

// sends is a client whose guest's tar prints archive.
func sends(t *testing.T, handler string, archive []byte) (*Client, *smolvmtest.Fake) {
	t.Helper()
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{Handler: handler})
	if err := os.WriteFile(filepath.Join(filepath.Dir(fake.Path), "archive.tar"), archive, 0o600); err != nil {
		t.Fatal(err)
	}
	return c, fake
}

func TestCopyDirFrom(t *testing.T) {
	for _, empty := range []bool{false, true} {
		parent := t.TempDir()
		target := filepath.Join(parent, "target")
		if empty {
			if err := os.Mkdir(target, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		c, fake := sends(t, "tar", tarOf(t, special("./", tar.TypeDir, ""), file("./a", "A"), file("./d/b", "B")))
		if err := c.CopyDirFrom(t.Context(), "m", "/var/x y", target, DirLimits{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"a": "-rw-r----- A", "d": "drwx------", "d/b": "-rw-r----- B"}, tree(t, target)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		wantEntries(t, parent, 1)
		wantLines(t, fake, "machine exec --name m --stream --timeout 1800s -- tar -c -f - -C /var/x y .")
	}
}

// On any failure there is nothing, neither the target nor what was to become it.
func TestCopyDirFromFailing(t *testing.T) {
	good := tarOf(t, file("a", "A"))
	for name, row := range map[string]struct {
		handler string
		archive []byte
		want    error
	}{
		"a link":             {"tar", tarOf(t, file("a", ""), special("l", tar.TypeSymlink, "/etc")), ErrUnsafe},
		"the guest goes on":  {"tar without end", good, ErrUnsafe},
		"a link, and on":     {"tar without end", tarOf(t, special("l", tar.TypeSymlink, "/etc")), ErrUnsafe},
		"no archive":         {"report 0, exit 1", good, ErrNotRunning},
		"less than it said":  {"tar", good[:600], nil},
		"nothing, and ended": {"binary", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			c, _ := sends(t, row.handler, row.archive)
			err := c.CopyDirFrom(t.Context(), "m", "/x", filepath.Join(parent, "target"), DirLimits{})
			if err == nil || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("%v, want %v", err, row.want)
			}
			wantEntries(t, parent, 0)
		})
	}
}

func TestCopyDirFromGuestFails(t *testing.T) {
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Guest: &smolvmtest.Guest{Stderr: "tar: /x: No such file\n", Exit: 1}})
	if err := c.CopyDirFrom(t.Context(), "m", "/x", filepath.Join(t.TempDir(), "t"), DirLimits{}); !contains(err, "exit 1: tar: /x: No such file") {
		t.Errorf("%v", err)
	}
}

func TestCopyDirFromInvalid(t *testing.T) {
	full := t.TempDir()
	f := hostFile(t, filepath.Join(full, "f"), "x", 0o600)
	for name, row := range map[string]struct {
		guest, host string
		limits      DirLimits
	}{
		"not empty":      {"/g", full, DirLimits{}},
		"a file":         {"/g", f, DirLimits{}},
		"no parent":      {"/g", filepath.Join(full, "no", "t"), DirLimits{}},
		"relative":       {"g", filepath.Join(full, "t"), DirLimits{}},
		"host path NUL":  {"/g", full + "/\x00", DirLimits{}},
		"negative limit": {"/g", filepath.Join(full, "t"), DirLimits{Bytes: -1}},
	} {
		c, fake := scripted(t, "1.9.3")
		if wantIs(t, c.CopyDirFrom(t.Context(), "m", row.guest, row.host, row.limits), ErrInvalid); t.Failed() {
			t.Fatal(name)
		}
		noCalls(t, fake)
	}
	wantEntries(t, full, 1)
}
