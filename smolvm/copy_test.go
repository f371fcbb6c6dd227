package smolvm

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bottle.internal/smolvm/smolvmtest"
)

func hostFile(t *testing.T, path, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCopyTo(t *testing.T) {
	file := hostFile(t, filepath.Join(t.TempDir(), "f"), "12345", 0o750)
	for _, row := range []struct {
		release string
		mode    fs.FileMode
		count   string
		lines   []string
	}{
		{"1.9.0", 0o755, "", []string{"machine cp --mode 755 " + file + " m:/bin/f"}},
		{"1.9.3", 0, "", []string{"machine cp --mode 750 " + file + " m:/bin/f"}},
		{"1.8.1", 0o600, " 5\n", []string{"machine cp " + file + " m:/bin/f",
			`machine exec --name m --stream --timeout 60s -- sh -c chmod "$1" "$2" && wc -c <"$2" sh 600 /bin/f`}},
	} {
		replies := []smolvmtest.Reply{{}}
		if row.count != "" {
			replies = append(replies, smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: row.count}})
		}
		c, fake := scripted(t, row.release, replies...)
		if err := c.CopyTo(t.Context(), "m", file, "/bin/f", row.mode); err != nil {
			t.Errorf("%s: %v", row.release, err)
		}
		wantLines(t, fake, row.lines...)
	}
}

func TestCopyToShort(t *testing.T) {
	file := hostFile(t, filepath.Join(t.TempDir(), "f"), "12345", 0o644)
	for count, want := range map[string]error{"4\n": io.ErrShortWrite, "": io.ErrShortWrite, "55\n": io.ErrShortWrite, "5 5\n": io.ErrShortWrite} {
		c, _ := scripted(t, "0.8.0", smolvmtest.Reply{}, smolvmtest.Reply{Guest: &smolvmtest.Guest{Stdout: count}})
		wantIs(t, c.CopyTo(t.Context(), "m", file, "/f", 0), want)
	}
	c, _ := scripted(t, "0.8.0", smolvmtest.Reply{}, smolvmtest.Reply{Guest: &smolvmtest.Guest{Stderr: "chmod: no such file", Exit: 1}})
	if err := c.CopyTo(t.Context(), "m", file, "/f", 0); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
	c, _ = scripted(t, "0.8.0", smolvmtest.Reply{}, failing("vm not found: m"))
	wantIs(t, c.CopyTo(t.Context(), "m", file, "/f", 0), ErrNotFound)
	c, _ = scripted(t, "0.8.0", failing("vm not found: m"))
	wantIs(t, c.CopyTo(t.Context(), "m", file, "/f", 0), ErrNotFound)
}

// Any colon makes smolvm take the argument for NAME:path, so it must never get one; what it does get has to be the file.
func TestCopyToColons(t *testing.T) {
	for _, path := range []string{"a:b/c", "c:d", "a:b/c:d", "plain", "-f"} {
		dir := t.TempDir()
		file := hostFile(t, filepath.Join(dir, path), "content of "+path, 0o644)
		for _, given := range []string{file, path} {
			t.Chdir(dir)
			c, fake := scripted(t, "1.9.3", smolvmtest.Reply{})
			if err := c.CopyTo(t.Context(), "m", given, "/x:y", 0o644); err != nil {
				t.Fatal(err)
			}
			call := fake.Calls()[1]
			source := call.Argv[len(call.Argv)-2]
			if strings.Contains(source, ":") || strings.HasPrefix(source, "-") || call.Upload != "content of "+path {
				t.Errorf("%q became %q in %q, with %q", given, source, call.Dir, call.Upload)
			}
			if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "smolvm-cp-*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		}
	}
}

func TestCopyToInvalid(t *testing.T) {
	file := hostFile(t, filepath.Join(t.TempDir(), "f"), "x", 0o644)
	for name, row := range map[string]struct {
		host, guest string
		mode        fs.FileMode
	}{
		"no such file":        {file + "2", "/f", 0o644},
		"a directory":         {filepath.Dir(file), "/f", 0o644},
		"a device":            {os.DevNull, "/f", 0o644},
		"setuid":              {file, "/f", 0o755 | fs.ModeSetuid},
		"host path NUL":       {file + "\x00", "/f", 0o644},
		"guest path relative": {file, "f", 0o644},
		"guest path empty":    {file, "", 0o644},
		"guest path climbs":   {file, "/a/../f", 0o644},
		"guest path NUL":      {file, "/f\x00", 0o644},
		"guest path no UTF-8": {file, "/\xff", 0o644},
		"guest path a dir":    {file, "/a/", 0o644},
		"guest path a dot":    {file, "/a/.", 0o644},
	} {
		c, fake := scripted(t, "1.9.3")
		if wantIs(t, c.CopyTo(t.Context(), "m", row.host, row.guest, row.mode), ErrInvalid); t.Failed() {
			t.Fatal(name)
		}
		noCalls(t, fake)
	}
	c, _ := scripted(t, "1.9.3")
	wantIs(t, c.CopyTo(t.Context(), "m", file+"2", "/f", 0), fs.ErrNotExist)
}

var tempName = regexp.MustCompile(`\.smolvm-cp-\d+`)

func TestCopyFrom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with:colon")
	kept := hostFile(t, filepath.Join(dir, "kept:file"), "old", 0o640)
	for path, perm := range map[string]fs.FileMode{kept: 0o640, filepath.Join(dir, "new"): 0o600} {
		c, fake := scripted(t, "0.8.0", smolvmtest.Reply{Download: "new content"})
		if err := c.CopyFrom(t.Context(), "m", "/var/x:y", path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || string(text) != "new content" {
			t.Errorf("%q, %v", text, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != perm {
			t.Errorf("%s: mode %v, want %v", path, info.Mode(), perm)
		}
		if got := tempName.ReplaceAllString(fake.Lines()[0], "TEMP"); got != "machine cp m:/var/x:y ./TEMP" {
			t.Errorf("%q", got)
		}
	}
	wantEntries(t, dir, 2)
}

// A download that fails half way leaves what was there, and nothing beside it.
func TestCopyFromFailing(t *testing.T) {
	dir := t.TempDir()
	kept := hostFile(t, filepath.Join(dir, "kept"), "precious", 0o644)
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Download: "hal", Exit: 1, Stderr: "Error: vm not found: m\n"})
	wantIs(t, c.CopyFrom(t.Context(), "m", "/f", kept), ErrNotFound)
	if text, err := os.ReadFile(kept); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
	wantEntries(t, dir, 1)
}

// smolvm removes its target when the guest fails: success without a file is none.
func TestCopyFromNothing(t *testing.T) {
	dir := t.TempDir()
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{Handler: "remove the target"})
	wantIs(t, c.CopyFrom(t.Context(), "m", "/f", filepath.Join(dir, "f")), fs.ErrNotExist)
	wantEntries(t, dir, 0)
}

func TestCopyFromInvalid(t *testing.T) {
	dir := t.TempDir()
	for name, row := range map[string]struct{ guest, host string }{
		"a directory":         {"/f", dir},
		"no directory":        {"/f", filepath.Join(dir, "a", "b")},
		"under a file":        {"/f", filepath.Join(hostFile(t, filepath.Join(dir, "f"), "", 0o644), "x")},
		"guest path relative": {"f", filepath.Join(dir, "x")},
		"host path NUL":       {"/f", dir + "/\x00"},
	} {
		c, fake := scripted(t, "1.9.3")
		if wantIs(t, c.CopyFrom(t.Context(), "m", row.guest, row.host), ErrInvalid); t.Failed() {
			t.Fatal(name)
		}
		noCalls(t, fake)
	}
}

func wantEntries(t *testing.T, dir string, n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != n {
		t.Errorf("%q holds %v, %v; want %d", dir, entries, err, n)
	}
}
