package smolvm

import (
	"os"
	"path/filepath"
	"testing"

	"bottle.internal/smolvm/smolvmtest"
)

func TestPackCreate(t *testing.T) {
	dir := t.TempDir()
	stub := filepath.Join(dir, "agent")
	for _, output := range []string{stub, stub + packSuffix} {
		c, fake := scripted(t, "1.7.0", smolvmtest.Reply{Pack: "content"})
		path, err := c.PackCreate(t.Context(), PackOptions{Image: "alpine:3", Output: output})
		if err != nil || path != stub+packSuffix {
			t.Errorf("%q, %v", path, err)
		}
		wantLines(t, fake, "pack create --image alpine:3 -o "+stub) // never the pack's own name: 1.7.0 refuses it
	}
	c, _ := scripted(t, "1.9.3", smolvmtest.Reply{})
	_, err := c.PackCreate(t.Context(), PackOptions{Image: "alpine:3", Output: filepath.Join(dir, "none")})
	if e := asError(t, err); !contains(e, "there is no pack") {
		t.Errorf("%v", e)
	}
	c, _ = scripted(t, "1.9.3", failing("vm not found: m"))
	_, err = c.PackCreate(t.Context(), PackOptions{FromMachine: "m", Output: filepath.Join(dir, "x")})
	wantIs(t, err, ErrNotFound)
}

func TestPackCreateInvalid(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "x")
	for name, o := range map[string]PackOptions{
		"nothing":       {Output: out},
		"both":          {Image: "a", FromMachine: "m", Output: out},
		"local image":   {Image: "./x.tar", Output: out},
		"like a flag":   {Image: "-a", Output: out},
		"bad machine":   {FromMachine: "-m", Output: out},
		"no output":     {Image: "a"},
		"suffix alone":  {Image: "a", Output: dir + "/.smolmachine"},
		"a directory":   {Image: "a", Output: filepath.Join(dir, "sub")},
		"ends in slash": {Image: "a", Output: out + "/"},
		"no directory":  {Image: "a", Output: filepath.Join(dir, "no", "x")},
		"negative":      {Image: "a", Output: out, CPUs: -1},
		"bad platform":  {Image: "a", Output: out, Platform: "arm64"},
		"not UTF-8":     {Image: "a\xff", Output: out},
	} {
		c, fake := scripted(t, "1.9.3")
		if wantIs(t, errOf(c.PackCreate(t.Context(), o)), ErrInvalid); t.Failed() {
			t.Fatal(name)
		}
		noCalls(t, fake)
	}
}

// A pack beside the program would turn the program into it, also where the program is reached by a link.
func TestPackBesideProgram(t *testing.T) {
	c, fake := scripted(t, "1.9.3")
	real, err := os.Executable() // what the fake links to
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(fake.Path), filepath.Dir(real)} {
		wantIs(t, errOf(c.PackCreate(t.Context(), PackOptions{Image: "a", Output: filepath.Join(dir, "x")})), ErrInvalid)
	}
	noCalls(t, fake)
}
