//go:build linux

package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestVolumes(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	for _, kind := range []string{"bare", "image"} {
		h := newHost(t, newest)
		for _, dir := range []string{"rw", "ro"} {
			if err := os.Mkdir(filepath.Join(h.dir, dir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(h.dir, dir, "x"), []byte("the host's\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		flags := []string{"-v", h.dir + "/rw:/mnt/new/rw", "-v", "./ro:/data:ro"}
		write, list := "cat /mnt/new/rw/x; echo guest > /mnt/new/rw/y", "echo guest > /data/y"
		if kind == "image" {
			flags = append(flags, "--image", h.saved(imageOf(t, v1.Config{}, guest(t))))
			write, list = "cat /mnt/new/rw/x;write /mnt/new/rw/y guest", "write /data/y guest"
		}
		h.boot(flags...)
		if got := h.guest(write); got != "the host's\n" {
			t.Errorf("%s: the guest read %q", kind, got)
		}
		if got := hostShell(t, "cat "+h.dir+"/rw/y; stat -c %u "+h.dir+"/rw/y"); got != "guest\n"+hostShell(t, "id -u") {
			t.Errorf("%s: the host sees %q", kind, got)
		}
		if got := h.run("machine", "exec", "--name", "m", "--", "sh", "-c", list); got.code == 0 || !strings.Contains(strings.ToLower(got.stderr), "read-only file system") {
			t.Errorf("%s: a write to a read-only volume: %+v", kind, got)
		}
	}
}

func TestParseVolume(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		dir + ":/x": "", dir + ":/x:ro": "", dir + ":/x:rw": "", dir: "invalid volume", dir + ":x": "invalid volume", dir + ":/": "invalid volume",
		":/x": "invalid volume", dir + ":/x:rx": "invalid volume", dir + "/none:/x": "mount source not found: " + dir + "/none", dir + "/file:/x": "not a directory",
	} {
		v, err := parseVolume(spec)
		switch {
		case want == "" && (err != nil || v.Host != dir || v.Guest != "/x" || v.ReadOnly != strings.HasSuffix(spec, ":ro")):
			t.Errorf("%s: %+v, %v", spec, v, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
}
