//go:build linux

package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

var appConfig = v1.Config{
	Env: []string{"PATH=/bin", "APP=image", "KEPT=image"}, WorkingDir: "/srv/app", User: "app", Entrypoint: []string{"guest"},
	Cmd: []string{"write", "/srv/app/launched", "by the image"},
}

// app is an image with a user, a directory of his and files that a second layer changes.
func app(t *testing.T) v1.Image {
	return imageOf(t, appConfig,
		append(guest(t),
			file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n"),
			file("etc/group", "root:x:0:\nteam:x:1001:\nextra:x:1002:other,app\n"),
			owned(directory("srv/app", 0o750), 1000, 1001), file("srv/lower", "below"), file("srv/gone", "below"),
			directory("opt/whole", 0o755), file("opt/whole/a", "below"), symlink("srv/absolute", "/srv/lower"),
		),
		[]entry{file("srv/.wh.gone", ""), file("opt/whole/.wh..wh..opq", ""), file("opt/whole/b", "above"),
			owned(directory("srv/app", 0o750), 1000, 1001), owned(file("srv/app/own", "x"), 1000, 1001)},
	)
}

func TestImageOfEveryKind(t *testing.T) {
	requireNamespaces(t)
	img := app(t)
	for _, c := range []struct {
		name string
		args func(h *host) []string
	}{
		{"registry", func(h *host) []string { return []string{"--net", "--image", pushed(t, img)} }},
		{"docker save", func(h *host) []string { return []string{"--image", h.saved(img)} }},
		{"gzip", func(h *host) []string {
			hostShell(t, "gzip -1 "+h.saved(img))
			return []string{"--image", "./image.tar.gz"}
		}},
		{"OCI archive", func(h *host) []string { return []string{"--image", h.ociArchive(img)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, newest)
			h.boot(c.args(h)...)
			for _, e := range []struct{ command, want string }{
				{"cat /srv/lower /srv/absolute", "belowbelow"},
				{"ls /opt/whole", "b\n"},
				{"ls /srv", "absolute\napp\nlower\n"},
				{"stat /srv/app /srv/app/own", "/srv/app 40750 1000:1001 1 \n/srv/app/own 100644 1000:1001 1 \n"},
				{"stat /bin/sh", "/bin/sh 100755 0:0 2 \n"},
			} {
				want := e.want
				if os.Geteuid() != 0 {
					want = strings.ReplaceAll(want, "1000:1001", "0:0")
				}
				if got := h.tool(strings.Fields(e.command)...); got != want {
					t.Errorf("%s: got %q, want %q", e.command, got, want)
				}
			}
		})
	}
}

func TestImageConfiguration(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	h.boot("--image", h.saved(app(t)), "-e", "APP=machine")
	if got, want := h.tool("env", "APP", "KEPT", "HOME", "TERM", "PATH"), "machine\nimage\n/home/app\nxterm-256color\n/bin\n"; got != want {
		t.Errorf("environment %q, want %q", got, want)
	}
	who := "1000 1001 [1001 1002] container\n"
	if os.Geteuid() != 0 {
		who = "0 0 [] container\n"
	}
	if got := h.tool("id"); got != who {
		t.Errorf("identity %q, want %q", got, who)
	}
	if got := h.tool("pwd"); got != "/srv/app\n" {
		t.Errorf("directory %q", got)
	}
	if got := h.tool("nofile"); got != "1024 1024\n" {
		t.Errorf("open files %q", got)
	}
	eventually(t, "the image's command ran", func() bool {
		return h.run("machine", "exec", "--name", "m", "--", "guest", "cat", "launched").stdout == "by the image\n"
	})
	if got := h.must("machine", "exec", "--name", "m", "-w", "/srv", "-e", "KEPT=exec", "--", "sh", "-c", "pwd;env KEPT"); got != "/srv\nexec\n" {
		t.Errorf("with flags: %q", got)
	}
}

func TestContainerFailures(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	h.boot("--image", h.saved(app(t)))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--", "nothing"}, 1, "executable file `nothing` not found in $PATH"},
		{[]string{"--stream", "--", "nothing"}, 1, "executable file `nothing` not found in $PATH"},
		{[]string{"--", "/bin/nothing"}, 1, "executable file `/bin/nothing` not found"},
		{[]string{"-w", "/nowhere", "--", "guest", "pwd"}, 1, "`/nowhere`"},
		{[]string{"--", "/etc/passwd"}, 1, "Permission denied"},
		{[]string{"--", "guest", "kill", "9"}, 137, ""},
		{[]string{"--", "guest", "exit", "7"}, 7, ""},
		{[]string{"--timeout", "50ms", "--", "guest", "sleep", "10s"}, 124, "container timed out after 50ms"},
	} {
		got := h.run(append([]string{"machine", "exec", "--name", "m"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.want) || got.stdout != "" || strings.Contains(got.stderr, "Error:") {
			t.Errorf("%v: got %+v, want exit %d with %q", c.args, got, c.code, c.want)
		}
	}
}

// A signal is 128+n in a container, in every release.
func TestContainerSignalInTheFirstRelease(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, "0.8.0")
	h.boot("--net", "--image", pushed(t, app(t)))
	if got := h.run("machine", "exec", "--name", "m", "--", "guest", "kill", "15"); got.code != 143 {
		t.Errorf("got %+v", got)
	}
	pid := strings.TrimSpace(h.tool("background", "sleep", "1m"))
	if got := h.run("machine", "exec", "--name", "m", "--", "guest", "stat", "/proc/"+pid+"/exe"); got.code == 0 {
		t.Errorf("a background process outlives its exec: %+v", got)
	}
}

func TestBackgroundProcessOfAContainerThatStays(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	h.boot("--image", h.saved(app(t)))
	pid := strings.TrimSpace(h.tool("background", "sleep", "1m"))
	if got := h.run("machine", "exec", "--name", "m", "--", "guest", "ls", "/proc/"+pid); got.code != 0 {
		t.Errorf("a background process is gone: %+v", got)
	}
}

// What a machine writes is its own and survives a stop; the layers stay as they are.
func TestImageWritesAreTheMachines(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	image := h.saved(imageOf(t, v1.Config{}, append(guest(t), file("srv/x", "image\n"), file("srv/y", "image\n"))))
	h.boot("--image", image)
	h.tool("write", "/srv/x", "machine")
	h.tool("rm", "/srv/y")
	h.must("machine", "stop", "--name", "m")
	if err := os.Remove(image); err != nil { // read once, at the first start
		t.Fatal(err)
	}
	layers := h.layerTimes()
	h.must("machine", "start", "--name", "m")
	if got := h.tool("cat", "/srv/x") + h.tool("ls", "/srv"); got != "machine\nx\n" {
		t.Errorf("after a stop: %q", got)
	}
	if again := h.layerTimes(); again != layers {
		t.Errorf("the second start touched the layers: %s, then %s", layers, again)
	}
}

func (h *host) layerTimes() string {
	return hostShell(h.t, "stat -c '%n %i %z' "+filepath.Join(h.dir, ".cache/smolvm-sim/layers")+"/*")
}

// Machines of images with a layer in common share it.
func TestLayersAreShared(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	base := append(guest(t), file("srv/x", "image"))
	for _, name := range []string{"m", "n"} {
		h.must("machine", "create", "--name", name, "--image", h.saved(imageOf(t, v1.Config{}, base, []entry{file("etc/name", name)})))
		h.must("machine", "start", "--name", name)
	}
	if got := strings.Count(h.layerTimes(), "\n"); got != 3 {
		t.Errorf("%d layers unpacked, want 3:\n%s", got, h.layerTimes())
	}
	if got := h.tool("cat", "/etc/name"); got != "m" {
		t.Errorf("got %q", got)
	}
	if got := h.must("machine", "exec", "--name", "n", "--", "guest", "cat", "/etc/name"); got != "n" {
		t.Errorf("got %q", got)
	}
}
