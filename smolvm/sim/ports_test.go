//go:build linux

package sim

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bottle.internal/smolvm/sim/vnet"
)

// guestServer makes the test binary a server inside a guest: it answers "guest" and the line it was sent.
const guestServer = "serve-in-guest"

func serveInGuest(address string) {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		line, _ := bufio.NewReader(c).ReadString('\n')
		fmt.Fprintf(c, "guest %s", line)
		c.Close()
	}
}

// serve runs a server in the machine until the test ends.
func (h *host) serve(name, address string) {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	h.must("machine", "cp", self, name+":/server")
	cmd := h.command("machine", "exec", "--name", name, "--", "sh", "-c", "chmod 755 /server && exec /server "+guestServer+" "+address)
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// visit asks the host's address until somebody in a guest answers, and returns the last answer or error.
func visit(address string, patience time.Duration) string {
	deadline := time.Now().Add(patience)
	for {
		answer, err := ask(address)
		if err == nil && answer != "" || time.Now().After(deadline) {
			return fmt.Sprint(answer, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func ask(address string) (string, error) {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

func unusedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestParsePort(t *testing.T) {
	for spec, want := range map[string]string{
		"8080:80": "{8080 80}", "8080": "{8080 8080}",
		"": "invalid port: ", "x": "invalid port: x", "0": "port 0 is not", "0:80": "host port 0 is not", "80:0": "guest port 0 is not",
		"80:": "invalid guest port: ", ":80": "invalid host port: ", "70000:80": "invalid host port: 70000", "1:2:3": "invalid guest port: 2:3",
		"-1:80": "invalid host port: -1",
	} {
		p, why := parsePort(spec)
		if why == "" {
			why = fmt.Sprint(p)
		}
		if !strings.Contains(why, want) {
			t.Errorf("%q: got %q, want %q", spec, why, want)
		}
	}
}

func TestPortsAreRefused(t *testing.T) {
	h := newHost(t, newest)
	if got := h.run("machine", "create", "--name", "m", "-p", "80:x"); got.code != 2 || !strings.Contains(got.stderr, "invalid value '80:x' for '--port <HOST:GUEST>'") {
		t.Errorf("%+v", got)
	}
	if got := h.run("machine", "create", "--name", "m", "-p", "80:1", "-p", "80:2"); got.code != 1 || !strings.Contains(got.stderr, "duplicate host port 80") {
		t.Errorf("%+v", got)
	}
	if got := h.must("machine", "create", "--name", "m", "-p", "8081:1", "-p", "8082:1"); !strings.Contains(got, "  Ports: 2\n") {
		t.Errorf("%s", got)
	}
	if got := h.must("machine", "ls", "--json"); !strings.Contains(got, `"ports": 2`) {
		t.Errorf("%s", got)
	}
}

func TestBackendOfPublishedPorts(t *testing.T) {
	const refused = "refused"
	for _, c := range []struct {
		release, asked string
		policy         bool
		want           string
	}{
		{"0.8.0", "", false, "tsi"}, {"0.8.1", "", true, "tsi"}, {"1.0.1", "", false, "tsi"}, {"0.8.0", "virtio-net", false, refused},
		{"1.0.2", "", false, refused}, {"1.0.2", "", true, refused}, {"1.0.2", "virtio-net", false, "virtio-net"},
		{"1.0.4", "", false, "virtio-net"}, {"1.1.2", "", true, "virtio-net"}, {"1.0.4", "tsi", false, refused},
		{"1.1.3", "", true, "virtio-net"}, {"1.9.3", "", false, "virtio-net"}, {"1.9.3", "tsi", false, refused},
	} {
		r := record{Policy: c.policy, Backend: c.asked, Ports: []vnet.Port{{Host: 1, Guest: 2}}}
		got, err := atRelease(t, c.release).backend(r, nil)
		if f := new(failure); errors.As(err, &f) {
			got = refused
		}
		if string(got) != c.want {
			t.Errorf("%+v: got %s, %v", c, got, err)
		}
	}
}

// Fleet mode brings virtio-net to every machine with a network (smolvm launch.rs).
func TestFleetModeSelectsVirtioNet(t *testing.T) {
	fleet := environ{"SMOLVM_PUBLISH_ADDR": "127.0.0.9"}
	for release, want := range map[string]vnet.Backend{"1.0.2": vnet.TSI, "1.0.4": vnet.VirtioNet, newest: vnet.VirtioNet} {
		if got, err := atRelease(t, release).backend(record{Network: true}, fleet); got != want || err != nil {
			t.Errorf("%s: got %s, %v", release, got, err)
		}
	}
	if _, err := atRelease(t, newest).network(record{Network: true}, environ{"SMOLVM_PUBLISH_ADDR": "everywhere"}); err == nil {
		t.Error("an address that is none is taken")
	}
	if _, err := atRelease(t, newest).network(record{Backend: backendVirtio}, nil); err == nil {
		t.Error("virtio-net without a network is taken")
	}
}

// A port published by each release reaches the server in the guest, and no policy comes with it.
func TestPublishedPort(t *testing.T) {
	for release, env := range map[string]string{"0.8.0": "", "1.0.4": "", newest: "SMOLVM_PUBLISH_ADDR=127.0.0.79"} {
		t.Run(release, func(t *testing.T) {
			port := unusedPort(t)
			h := newHost(t, release, env)
			h.boot("-p", fmt.Sprint(port, ":8080"))
			h.serve("m", "0.0.0.0:8080")
			at := "127.0.0.1"
			if env != "" {
				at = "127.0.0.79"
			}
			if got := visit(net.JoinHostPort(at, fmt.Sprint(port)), 5*time.Second); !strings.HasPrefix(got, "guest hello") {
				t.Errorf("got %q", got)
			}
			other := net.JoinHostPort("127.0.0.80", fmt.Sprint(port))
			if got := visit(other, 0); strings.HasPrefix(got, "guest") != (release == "0.8.0") {
				t.Errorf("%s: %q, want an answer where the guest chose every address and nowhere else", other, got)
			}
			h.must("machine", "stop", "--name", "m")
			if got := visit(net.JoinHostPort(at, fmt.Sprint(port)), 0); !strings.Contains(got, "refused") {
				t.Errorf("after stop: %q", got)
			}
		})
	}
}

func TestPublishedPortOfARunningMachineIsRefused(t *testing.T) {
	port := unusedPort(t)
	h := newHost(t, newest)
	h.boot("-p", fmt.Sprint(port, ":80"))
	h.must("machine", "create", "--name", "other", "-p", fmt.Sprint(port, ":81"))
	got := h.run("machine", "start", "--name", "other")
	if want := fmt.Sprintf("host port %d is already in use by running machine 'm'", port); got.code != 1 || !strings.Contains(got.stderr, want) {
		t.Errorf("%+v", got)
	}
	h.must("machine", "stop", "--name", "m")
	h.must("machine", "start", "--name", "other")
}

func TestPublishedPortTakenOnTheHostFailsTheStart(t *testing.T) {
	port := greeter(t, "tcp", "127.0.0.1:0", "taken", nil).(*net.TCPAddr).Port
	requireNamespaces(t)
	h := newHost(t, newest)
	h.must("machine", "create", "--name", "m", "-p", fmt.Sprint(port, ":80"))
	if got := h.run("machine", "start", "--name", "m"); got.code != 1 || !strings.Contains(got.stderr, "address already in use") {
		t.Errorf("%+v", got)
	}
	if got := supervisors(filepath.Join(h.dir, ".cache/smolvm-sim/vms")); len(got) > 0 {
		t.Errorf("left behind: %v", got)
	}
}
