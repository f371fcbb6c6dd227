package smolvm

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tarOf is an archive of entries; a regular file's Size is its text's.
type entry struct {
	tar.Header
	text string
}

func file(name, text string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o640}, text}
}
func special(name string, kind byte, target string) entry {
	return entry{tar.Header{Name: name, Typeflag: kind, Linkname: target, Mode: 0o777}, ""}
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		if e.Typeflag == tar.TypeReg {
			e.Size = int64(len(e.text))
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// tree is every file below dir with its mode and content.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		all[rel] = info.Mode().String()
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			all[rel] += " " + string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestUnpackDir(t *testing.T) {
	dir := t.TempDir()
	archive := tarOf(t, special("./", tar.TypeDir, ""), file("./a", "A"), file("d/e/f", "F"), special("d", tar.TypeDir, ""),
		entry{tar.Header{Name: "closed/", Typeflag: tar.TypeDir, Mode: 0o4000}, ""}, file("closed/x", ""),
		entry{tar.Header{Name: "run", Typeflag: tar.TypeReg, Mode: 0o6755}, "#!"}, file(strings.Repeat("n", 200), "long"))
	if err := unpackDir(bytes.NewReader(archive), openRoot(t, dir), DirLimits{}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"a": "-rw-r----- A", "d": "drwxrwxrwx", "d/e": "drwx------", "d/e/f": "-rw-r----- F", "closed": "drwx------", "closed/x": "-rw-r----- ",
		"run": "-rwxr-xr-x #!", strings.Repeat("n", 200): "-rw-r----- long",
	}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnpackRefuses(t *testing.T) {
	long := bytes.Repeat([]byte{0}, maxTrailer+10_000)
	for name, row := range map[string]struct {
		archive []byte
		limits  DirLimits
	}{
		"symlink":             {tarOf(t, special("l", tar.TypeSymlink, "/etc")), DirLimits{}},
		"hard link":           {tarOf(t, file("a", ""), special("l", tar.TypeLink, "a")), DirLimits{}},
		"character device":    {tarOf(t, special("c", tar.TypeChar, "")), DirLimits{}},
		"block device":        {tarOf(t, special("b", tar.TypeBlock, "")), DirLimits{}},
		"fifo":                {tarOf(t, special("p", tar.TypeFifo, "")), DirLimits{}},
		"climbs":              {tarOf(t, file("../outside", "x")), DirLimits{}},
		"climbs in the midst": {tarOf(t, file("a/../../outside", "x")), DirLimits{}},
		"absolute":            {tarOf(t, file("/etc/outside", "x")), DirLimits{}},
		"itself":              {tarOf(t, file(".", "x")), DirLimits{}},
		"twice":               {tarOf(t, file("a", "1"), file("./a", "2")), DirLimits{}},
		"file, then below it": {tarOf(t, file("a", "1"), file("a/b", "2")), DirLimits{}},
		"file, then its dir":  {tarOf(t, file("a", "1"), special("a", tar.TypeDir, "")), DirLimits{}},
		"dir, then its file":  {tarOf(t, special("a", tar.TypeDir, ""), file("a", "1")), DirLimits{}},
		"too many":            {tarOf(t, file("a", ""), file("b", "")), DirLimits{Entries: 1}},
		"too much":            {tarOf(t, file("a", "12"), file("b", "34")), DirLimits{Bytes: 3}},
		"does not stop":       {append(tarOf(t, file("a", "")), long...), DirLimits{}},
	} {
		outside := t.TempDir()
		dir := filepath.Join(outside, "dir")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unpackDir(bytes.NewReader(row.archive), openRoot(t, dir), row.limits); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
		wantEntries(t, outside, 1)
	}
}

func TestUnpackBroken(t *testing.T) {
	whole := tarOf(t, file("a", strings.Repeat("x", 2000)))
	for name, archive := range map[string][]byte{"short": whole[:1000], "garbage": bytes.Repeat([]byte("x"), 2000)} {
		if err := unpackDir(bytes.NewReader(archive), openRoot(t, t.TempDir()), DirLimits{}); err == nil || errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever the guest sends, nothing is written outside, nothing but files and directories inside, and no more than allowed.
func FuzzUnpackDir(f *testing.F) {
	for _, e := range [][]entry{
		{file("a", "A"), special("d/", tar.TypeDir, "")}, {file("../x", "x")}, {special("l", tar.TypeSymlink, "../.."), file("l/x", "x")},
		{file("a", "1"), file("a/b", "2")}, {special("h", tar.TypeLink, "/etc/passwd")},
	} {
		f.Add(tarOf(f, e...))
	}
	limits := DirLimits{Bytes: 1 << 16, Entries: 20}
	f.Fuzz(func(t *testing.T, archive []byte) {
		outside := t.TempDir()
		dir := filepath.Join(outside, "dir")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = unpackDir(bytes.NewReader(archive), openRoot(t, dir), limits)
		wantEntries(t, outside, 1)
		var size int64
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			info, infoErr := d.Info()
			if err != nil || infoErr != nil || !info.IsDir() && !info.Mode().IsRegular() {
				t.Errorf("%q: %v, %v, %v", path, d, err, infoErr)
				return nil
			}
			if info.Mode().IsRegular() {
				size += info.Size()
			}
			return nil
		})
		if size > limits.Bytes {
			t.Errorf("%d bytes", size)
		}
	})
}

// What is packed can be unpacked again: by ourselves, and by the tar of a guest for the links.
func TestPackDir(t *testing.T) {
	dir := t.TempDir()
	hostFile(t, filepath.Join(dir, "d", strings.Repeat("long", 40)), "x", 0o640)
	hostFile(t, filepath.Join(dir, "run"), "#!", 0o755)
	var buf bytes.Buffer
	if err := packDir(&buf, openRoot(t, dir)); err != nil {
		t.Fatal(err)
	}
	back := t.TempDir()
	if err := unpackDir(&buf, openRoot(t, back), DirLimits{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree(t, dir), tree(t, back)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
