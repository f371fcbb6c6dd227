//go:build linux

package sim

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

var checksumText = regexp.MustCompile(`Checksum: (sha256:[0-9a-f]{64})`)

// pack runs pack create and returns the data's path and checksum.
func (h *host) pack(args ...string) (path, digest string) {
	h.t.Helper()
	out := filepath.Join(h.dir, "app")
	found := checksumText.FindStringSubmatch(h.must(append([]string{"pack", "create", "-o", out}, args...)...))
	if found == nil {
		h.t.Fatal("pack create said no checksum")
	}
	return out + packSuffix, found[1]
}

// The same image is the same pack: in another state directory, from another registry, at another time.
func TestPackOfAnImageIsReproducible(t *testing.T) {
	t.Parallel()
	img := app(t)
	var digests, texts []string
	for range 2 {
		h := newHost(t, newest)
		ref := pushed(t, img)
		path, digest := h.pack("--image", ref)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(strings.Split(ref, "/")[0])) {
			t.Error("the registry's address is in the pack")
		}
		digests, texts = append(digests, digest), append(texts, string(text))
		if info, err := os.Stat(strings.TrimSuffix(path, packSuffix)); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("the stub: %v, %v", info, err)
		}
	}
	if digests[0] != digests[1] || texts[0] != texts[1] {
		t.Errorf("two packs of one image: %v", digests)
	}
}

func TestPackMakesAMachine(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	h := newHost(t, newest)
	path, _ := h.pack("--image", pushed(t, app(t)), "--cpus", "2", "--mem", "512")
	out := h.must("machine", "create", "--name", "m", "--from", path, "--mem", "1024")
	if !strings.HasPrefix(out, "Extracting .smolmachine assets...\nCreated machine: m\n  CPUs: 2, Memory: 1024 MiB\n") {
		t.Errorf("create: %s", out)
	}
	h.must("machine", "start", "--name", "m")
	who := "0 0 [] container\n" // a pack has no user
	if got := h.tool("id"); !strings.HasPrefix(got, "0 0 [") || privileged() && got != "0 0 [0] container\n" && got != who {
		t.Errorf("identity %q", got)
	}
	if got := h.tool("pwd") + h.tool("env", "KEPT") + h.tool("ls", "/opt/whole"); got != "/srv/app\nimage\nb\n" {
		t.Errorf("got %q", got)
	}
	eventually(t, "the pack's command runs at start", func() bool {
		return h.run("machine", "exec", "--name", "m", "--", "guest", "cat", "/srv/app/launched").stdout == "by the image\n"
	})
	h.must("machine", "stop", "--name", "m")
	layers := h.layerTimes()
	h.must("machine", "start", "--name", "m")
	if again := h.layerTimes(); again != layers {
		t.Errorf("the second start unpacked:\n%s\n%s", layers, again)
	}
	h.must("machine", "stop", "--name", "m")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := h.run("machine", "start", "--name", "m"); got.code != 1 || !strings.Contains(got.stderr, "Error: agent operation failed: start machine: read sidecar: "+path) {
		t.Errorf("without its pack: %+v", got)
	}
}

// Every byte of a pack counts, and a file that is none is refused before anything is made.
func TestDamagedPackIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t, newest)
	path, _ := h.pack("--image", pushed(t, app(t)))
	h.must("machine", "create", "--name", "first", "--from", path) // from here on the file is known to be right
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"a bit of a layer":    func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"a bit of a manifest": func(b []byte) []byte { b[bytes.Index(b, []byte("container"))] ^= 1; return b },
		"a bit of the digest": func(b []byte) []byte { b[len(b)-5] ^= 1; return b },
		"truncated":           func(b []byte) []byte { return b[:len(b)-4096] },
		"longer":              func(b []byte) []byte { return append(b, 'x') },
		"empty":               func([]byte) []byte { return nil },
		"text":                func([]byte) []byte { return []byte(strings.Repeat("not a pack\n", 100)) },
	} {
		if err := os.WriteFile(path, damage(bytes.Clone(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		got := h.run("machine", "create", "--name", "m", "--from", path)
		if got.code != 1 || !strings.HasPrefix(got.stderr, "Error: agent operation failed: ") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: %+v", name, got)
		}
		if got := h.run("machine", "status", "--name", "m"); got.code != 1 {
			t.Errorf("%s: a machine was made: %+v", name, got)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	h.must("machine", "create", "--name", "m", "--from", path)
}

// A stopped machine's own files go into its pack and come out of it, of an image or bare, and twice over.
func TestPackOfAMachine(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	plain := imageOf(t, v1.Config{}, append(guest(t), file("srv/lower", "x"), directory("opt/whole", 0o755), file("opt/whole/a", "x")))
	for _, c := range []struct {
		name   string
		create func(h *host) []string
		change string // in a shell of the guest
		check  string
	}{
		{"image", func(h *host) []string { return []string{"--net", "--image", pushed(t, plain)} },
			"write /srv/new text;rm /srv/lower;rm /opt/whole;mkdir /opt/whole;write /opt/whole/c x;link /srv/new /srv/link",
			"cat /srv/link;ls /opt/whole;ls /srv"},
		{"bare", func(*host) []string { return nil },
			"mkdir -p /opt/x /usr/local/y; echo text > /opt/x/f; cp /bin/true /usr/bin/added; rm -f /usr/bin/id /opt/x/none; chmod 700 /srv; ln -s f /opt/x/l",
			"cat /opt/x/l; ls -d /usr/local/y /usr/bin/added; ls /usr/bin/id || echo removed; stat -c '%a %u' /srv /opt/x /usr/bin/added; ls /usr/bin/env"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var digests []string
			for range 2 {
				h := newHost(t, newest)
				h.boot(c.create(h)...)
				h.guest(c.change)
				want := h.run("machine", "exec", "--name", "m", "--", "sh", "-c", c.check)
				if got := h.run("pack", "create", "--from-vm", "m", "-o", "x"); got.code != 1 || !strings.Contains(got.stderr, "VM 'm' is running. Stop it first with: smolvm machine stop --name m") {
					t.Errorf("while it runs: %+v", got)
				}
				h.must("machine", "stop", "--name", "m")
				path, digest := h.pack("--from-vm", "m")
				digests = append(digests, digest)
				other := newHost(t, newest)
				other.must("machine", "create", "--name", "m", "--from", path)
				other.must("machine", "start", "--name", "m")
				if got := other.run("machine", "exec", "--name", "m", "--", "sh", "-c", c.check); got.stdout != want.stdout || got.code != want.code {
					t.Errorf("from the pack: %+v, want %+v", got, want)
				}
				other.must("machine", "stop", "--name", "m")
				again, _ := other.pack("--from-vm", "m")
				third := newHost(t, newest)
				third.must("machine", "create", "--name", "m", "--from", again)
				third.must("machine", "start", "--name", "m")
				if got := third.run("machine", "exec", "--name", "m", "--", "sh", "-c", c.check); got.stdout != want.stdout {
					t.Errorf("from the pack of its machine: %+v, want %+v", got, want)
				}
			}
			if digests[0] != digests[1] {
				t.Errorf("the same content has two digests: %v", digests)
			}
		})
	}
}

// The situation the project started from: up to 1.7.7 create --from takes the egress flags and forgets them. Without --net the guest
// has no network at all, with it the guest has all of it.
func TestPackForgetsThePolicy(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	path, _ := newHost(t, newest).pack("--image", pushed(t, imageOf(t, v1.Config{}, guest(t))))
	for _, release := range simulated {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			r, err := parseRelease(release)
			if err != nil {
				t.Fatal(err)
			}
			honoured := r.atLeast(versionOf(t, "1.8.0"))
			for _, c := range []struct {
				flags                   []string
				network, policy, online bool
			}{
				{[]string{"--allow-cidr", "10.9.8.7/32", "-w", "/bin"}, honoured, honoured, honoured},
				{[]string{"--net", "--allow-cidr", "10.9.8.7/32", "-w", "/bin"}, true, honoured, true},
				{[]string{"--net"}, true, false, true},
				{nil, false, false, false},
			} {
				h := newHost(t, release)
				h.must(h.createArgs("m", append(c.flags, "--from", path)...)...)
				stored, err := store{filepath.Join(h.dir, ".local/share/smolvm-sim/machines")}.load("m")
				if err != nil || stored.Network != c.network || stored.Policy != c.policy || len(stored.Allow) > 0 != c.policy {
					t.Errorf("%v: recorded %+v, %v", c.flags, stored, err)
				}
				config, err := featuresOf(r).network(stored, environ{})
				if err != nil || (config != nil) != c.online || config != nil && config.Restrict != c.policy {
					t.Errorf("%v: network %+v, %v", c.flags, config, err)
				}
				wantDir := ""
				if len(c.flags) > 2 && honoured {
					wantDir = "/bin"
				}
				if len(c.flags) > 1 && stored.Workdir != wantDir {
					t.Errorf("%v: directory %q, want %q", c.flags, stored.Workdir, wantDir)
				}
			}
		})
	}
}

// What the missing policy means on the wire: a listener of the host's loopback is heard from the guest.
func TestPackWithoutItsPolicyLeaks(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	canary, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer canary.Close()
	_, port, _ := net.SplitHostPort(canary.Addr().String())
	path, _ := newHost(t, newest).pack("--image", pushed(t, imageOf(t, v1.Config{}, guest(t))))
	policy := []string{"--allow-cidr", "10.9.8.7/32"}
	for _, c := range []struct {
		release, address string
		flags            []string
		want             string
	}{
		{"0.8.0", "127.0.0.1:", []string{"--from", path, "--net"}, "connected\n"},   // the policy is forgotten
		{"0.8.0", "192.0.2.1:", []string{"--from", path}, "network is unreachable"}, // and does not even turn the network on
		{newest, "100.96.0.1:", []string{"--from", path, "--net"}, "connection refused"},
		{newest, "100.96.0.1:", []string{"--from", path}, "connection refused"},
	} {
		h := newHost(t, c.release)
		h.boot(append(c.flags, policy...)...)
		got := h.run("machine", "exec", "--name", "m", "--", "guest", "dial", c.address+port)
		if !strings.Contains(got.stdout+got.stderr, c.want) {
			t.Errorf("%s %v: %+v, want %q", c.release, c.flags[2:], got, c.want)
		}
	}
	h := newHost(t, "0.8.0")
	h.boot(append([]string{"--net", "--image", pushed(t, imageOf(t, v1.Config{}, guest(t)))}, "--allow-cidr", "10.9.8.7/32", "--allow-cidr", "127.0.0.1/32")...)
	if got := h.run("machine", "exec", "--name", "m", "--", "guest", "dial", "10.1.1.1:"+port); !strings.Contains(got.stderr, "permission denied") {
		t.Errorf("an image keeps its policy: %+v", got)
	}
}

func versionOf(t *testing.T, text string) release {
	t.Helper()
	r, err := parseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Up to 1.8.0 a pack's files all belong to root.
func TestPackOwnership(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	if !privileged() {
		skip(t, "files can only be given away as root")
	}
	path, _ := newHost(t, newest).pack("--image", pushed(t, app(t)))
	for release, want := range map[string]string{"1.8.0": "0:0", newest: "1000:1001"} {
		h := newHost(t, release)
		h.boot("--from", path)
		if got := h.tool("stat", "/srv/app"); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", release, got, want)
		}
	}
}

func TestPackRun(t *testing.T) {
	t.Parallel()
	requireNamespaces(t)
	h := newHost(t, newest)
	path, _ := h.pack("--image", pushed(t, imageOf(t, v1.Config{Entrypoint: []string{"guest"}, Cmd: []string{"echo", "by default"}}, guest(t))))
	if got := h.run("pack", "run", "--sidecar", path, "--", "guest", "exit", "5"); got.code != 5 {
		t.Errorf("got %+v", got)
	}
	stub := h.command()
	stub.Path, stub.Args = strings.TrimSuffix(path, packSuffix), []string{"app"}
	if out, err := stub.Output(); err != nil || string(out) != "by default\n" {
		t.Errorf("the stub: %q, %v", out, err)
	}
	if out := h.must("machine", "ls"); out != "No machines found\n" {
		t.Errorf("left behind: %s", out)
	}
}
