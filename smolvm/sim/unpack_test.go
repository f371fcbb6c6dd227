//go:build linux

package sim

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A victim is a directory next to the store, with what a hostile layer would like to read, change or replace.
func victim(t *testing.T) (dir string, untouched func(t *testing.T)) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("the host's"), 0o600); err != nil {
		t.Fatal(err)
	}
	const look = "; ls -laR --time-style=full-iso; cat secret; stat -c '%a %u %g %h' secret ."
	before := hostShell(t, "cd "+dir+look)
	return dir, func(t *testing.T) {
		t.Helper()
		if after := hostShell(t, "cd "+dir+look); after != before {
			t.Errorf("outside of the layer:\n%s\nbecame\n%s", before, after)
		}
	}
}

// A hostile layer changes nothing outside of its directory, whatever its names, its links and their order.
func TestUnpackStaysInside(t *testing.T) {
	dir, untouched := victim(t)
	up := strings.Repeat("../", 12)
	plain := func(name string) entry { return file(name, "pwned") }
	for name, c := range map[string]struct {
		entries []entry
		refused bool
	}{
		"dot dot":                     {[]entry{plain("../secret")}, true},
		"dot dot inside":              {[]entry{plain("a/../../secret")}, true},
		"dot dot to the victim":       {[]entry{plain(up + dir[1:] + "/secret")}, true},
		"absolute name":               {[]entry{plain(dir + "/secret")}, false},
		"through an absolute link":    {[]entry{directory(dir[1:], 0o755), symlink("out", dir), plain("out/secret")}, false},
		"through a dangling link":     {[]entry{symlink("out", dir), plain("out/secret")}, true},
		"through a relative link":     {[]entry{symlink("out", up+dir[1:]), directory(dir[1:], 0o755), plain("out/secret")}, false},
		"over a link":                 {[]entry{symlink("secret", dir+"/secret"), plain("secret")}, false},
		"through two links":           {[]entry{symlink("a", "/"), symlink("b", "a/"+up), directory(dir[1:], 0o755), plain("b/" + dir[1:] + "/secret")}, false},
		"directory over a link":       {[]entry{symlink("out", dir), directory("out", 0o777), plain("out/secret")}, false},
		"link over a directory":       {[]entry{directory("out", 0o755), symlink("out", dir), plain("out/secret")}, true},
		"mode of a link's target":     {[]entry{symlink("out", dir+"/secret"), {tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: dir, Mode: 0o777}, ""}}, false},
		"hard link to the host":       {[]entry{hardlink("x", dir+"/secret"), plain("x")}, true},
		"hard link by dot dot":        {[]entry{hardlink("x", up+dir[1:]+"/secret")}, true},
		"hard link through a link":    {[]entry{symlink("out", dir), hardlink("x", "out/secret")}, true},
		"hard link to a link":         {[]entry{symlink("out", dir+"/secret"), hardlink("x", "out"), plain("x")}, false},
		"hard link to itself":         {[]entry{hardlink("x", "x")}, true},
		"hard link to the root":       {[]entry{hardlink("x", ".")}, true},
		"whiteout of dot dot":         {[]entry{file("a/.wh...", "")}, true},
		"whiteout of dot":             {[]entry{file("a/.wh..", "")}, true},
		"whiteout of nothing":         {[]entry{file("a/.wh.", "")}, true},
		"whiteout through a link":     {[]entry{directory(dir[1:], 0o755), symlink("out", dir), file("out/.wh.secret", "")}, false},
		"opaque through a link":       {[]entry{symlink("out", dir), file("out/.wh..wh..opq", "")}, true},
		"link in place of an opened":  {[]entry{plain("a/b/one"), file("a/.wh.c", ""), symlink("a/b2", dir), plain("a/b2/secret")}, true},
		"directory of another's name": {[]entry{symlink("proc", "/proc/self/root"), plain("proc" + dir + "/secret")}, true},
		"a process's root":            {[]entry{symlink("x", "/proc/self/cwd"), plain("x/secret")}, true},
		"the root is a file":          {[]entry{plain(".")}, true},
		"the root is a link":          {[]entry{symlink("/", dir)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			into := filepath.Join(t.TempDir(), "layer")
			err := unpack(into, bytes.NewReader(tarOf(t, c.entries...)), ownershipOf(false))
			if (err != nil) != c.refused {
				t.Errorf("refused: %v, want %v", err, c.refused)
			}
			untouched(t)
		})
	}
}

func TestUnpackMakesNoDevice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layer")
	char := device("dev/char")
	char.Typeflag = tar.TypeChar
	suid := file("su", "x")
	suid.Mode = 0o4755
	pipe := entry{tar.Header{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o600}, ""}
	if err := unpack(dir, bytes.NewReader(tarOf(t, device("dev/block"), char, pipe, suid)), ownershipOf(false)); err != nil {
		t.Fatal(err)
	}
	if got := hostShell(t, "cd "+dir+"; find . -mindepth 1 -printf '%P %y %m\\n' | sort"); got != "dev d 755\npipe p 600\nsu f 4755\n" {
		t.Errorf("got\n%s", got)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "su"), &st); err != nil || privileged() && st.Uid != guestIDs {
		t.Errorf("su belongs to %d, %v", st.Uid, err)
	}
}

// What a layer removes is what overlayfs takes for removed, and what it makes anew is not.
func TestUnpackWhiteouts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layer")
	err := unpack(dir, bytes.NewReader(tarOf(t,
		file("a/.wh.gone", ""), file(".wh.again", ""), directory("again", 0o755), file(".wh.implied", ""), file("implied/x", "x"),
		directory("kept", 0o755), file(".wh.kept", ""), file("whole/.wh..wh..opq", ""), file("whole/x", ""), file(".wh..wh.plnk", ""),
		file("mine", "x"), file(".wh.mine", ""), file(".wh.twice", ""), file(".wh.twice", ""),
	)), ownershipOf(false))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a/gone": "whiteout", "again": "opaque", "implied": "opaque", "kept": "opaque", "whole": "opaque", "a": "plain", "mine": "plain", "twice": "whiteout",
	} {
		path := filepath.Join(dir, name)
		var st unix.Stat_t
		got := "plain"
		switch err := unix.Lstat(path, &st); {
		case err != nil:
			got = err.Error()
		case isWhiteout(st):
			got = "whiteout"
		case opaque(path):
			got = "opaque"
		}
		if got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, ".wh..wh.plnk")); err == nil {
		t.Error("a name of the whiteouts' own came through")
	}
}

// Modes and times of directories survive what is written into them; the last entry of a name counts.
func TestUnpackSettlesDirectoriesLast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layer")
	err := unpack(dir, bytes.NewReader(tarOf(t, directory("closed", 0o755), directory("closed", 0o555), file("closed/x", "x"), directory(".", 0o711))), ownershipOf(false))
	if err != nil {
		t.Fatal(err)
	}
	if got := hostShell(t, "cd "+dir+"; stat -c '%n %a %Y' . closed closed/x"); got != ". 711 0\nclosed 555 0\nclosed/x 644 0\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestOwnership(t *testing.T) {
	if !privileged() {
		skip(t, "files can only be given away as root")
	}
	for own, want := range map[ownership]string{
		ownerKept: "101000 101001\n165534 100000\n", ownerSquashed: "100000 100000\n100000 100000\n", ownerSingle: "0 0\n0 0\n",
	} {
		dir := filepath.Join(t.TempDir(), "layer")
		if err := unpack(dir, bytes.NewReader(tarOf(t, owned(file("a", ""), 1000, 1001), owned(file("b", ""), 1<<20, 0))), own); err != nil {
			t.Fatal(err)
		}
		if got := hostShell(t, "cd "+dir+"; stat -c '%u %g' a b"); got != want {
			t.Errorf("%s: got %q, want %q", own, got, want)
		}
	}
}

func opener(text []byte) source {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
}

func digestText(text []byte) string {
	sum := sha256.Sum256(text)
	return digestOf(sum[:])
}

// A layer that is not what its digest says, or ends early, leaves nothing.
func TestLayerStoreVerifies(t *testing.T) {
	text := tarOf(t, file("x", strings.Repeat("x", 4096)))
	for name, c := range map[string]struct {
		digest string
		open   source
	}{
		"another digest": {digestText([]byte("other")), opener(text)},
		"truncated":      {digestText(text), opener(text[:2000])},
		"trailing bytes": {digestText(text), opener(append(bytes.Clone(text), 1))},
		"no digest":      {"sha256:../../x", opener(text)},
		"no source":      {digestText(text), func() (io.ReadCloser, error) { return nil, errors.New("gone") }},
	} {
		st := layerStore{t.TempDir()}
		if err := st.ensure(c.digest, ownershipOf(false), c.open); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if left, _ := filepath.Glob(st.dir + "/[^.]*"); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// Of several that want a layer one unpacks it, what a killed one left is replaced, and the second time nothing is read.
func TestLayerStoreUnpacksOnce(t *testing.T) {
	text := tarOf(t, file("x", "x"))
	st, own := layerStore{t.TempDir()}, ownershipOf(false)
	digest := digestText(text)
	if err := os.MkdirAll(st.path(digest, own)+".new/half", 0o700); err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int32
	open := func() (io.ReadCloser, error) { opened.Add(1); return opener(text)() }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := st.ensure(digest, own, open); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := opened.Load(); n != 1 {
		t.Errorf("read %d times", n)
	}
	if got := hostShell(t, "ls "+st.dir+" "+st.path(digest, own)); !strings.HasSuffix(got, ":\nx\n") || strings.Contains(got, ".new") {
		t.Errorf("the store holds\n%s", got)
	}
}

// The layer of a machine's changes reads as it was written, whenever it is written.
func TestLayerWriterRoundTrip(t *testing.T) {
	entries := []entry{
		directory("a", 0o750), file("a/.wh.gone", ""), file("a/x", "text"), symlink("a/link", "x"), hardlink("a/y", "a/x"),
		file("b/.wh..wh..opq", ""), {tar.Header{Name: "b/pipe", Typeflag: tar.TypeFifo, Mode: 0o600}, ""}, owned(file("b/z", "z"), 7, 8),
	}
	var texts [2][]byte
	for i := range texts {
		dir := filepath.Join(t.TempDir(), "layer")
		if err := unpack(dir, bytes.NewReader(tarOf(t, entries...)), ownershipOf(false)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, "a/x"), timeOf(i), timeOf(i)); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := (layerWriter{tar: w, shifted: privileged()}).tree(dir, ""); err != nil {
			t.Fatal(err)
		}
		w.Close()
		texts[i] = b.Bytes()
	}
	if !bytes.Equal(texts[0], texts[1]) {
		t.Error("the same content has two digests")
	}
	want := "a/ 5 750 0:0 \na/.wh.gone 0 0 0:0 \na/link 2 777 0:0 x\na/x 0 644 0:0 \na/y 1 0 0:0 a/x\nb/ 5 755 0:0 \nb/.wh..wh..opq 0 0 0:0 \nb/pipe 6 600 0:0 \nb/z 0 644 7:8 \n"
	if !privileged() {
		want = strings.Replace(want, "7:8", "0:0", 1)
	}
	if got := listing(t, texts[0]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A socket or a file that cannot be a layer's is left out.
func TestLayerWriterLeavesSocketsOut(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mknod(filepath.Join(dir, "socket"), syscall.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := (layerWriter{tar: w}).tree(dir, ""); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if got := listing(t, b.Bytes()); got != "" {
		t.Errorf("got %s", got)
	}
}
