//go:build linux

package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// greeter answers every connection with a word, on an address of the host.
func greeter(t *testing.T, network, address, word string, seen func(first string)) net.Addr {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(c)
			line, _ := r.ReadString('\n')
			if network == "unix" { // a world is told about the flow before the guest speaks; what is unread at close is a reset
				_, _ = r.ReadString('\n')
			}
			if seen != nil {
				seen(line)
			}
			fmt.Fprintln(c, word)
			c.Close()
		}
	}()
	return l.Addr()
}

// dial speaks to an address from the guest and returns the answer, or bash's words for the error.
func (h *host) dial(address string, port int) string {
	h.t.Helper()
	r := h.run("machine", "exec", "--name", "m", "--timeout", "5s", "--", "bash", "-c",
		fmt.Sprintf("exec 3<>/dev/tcp/%s/%d && echo hello >&3 && cat <&3", address, port))
	if r.code != 0 {
		return r.stderr
	}
	return strings.TrimSpace(r.stdout)
}

func TestEgress(t *testing.T) {
	const reached, denied, refused = "greetings", "Permission denied", "Connection refused"
	port := greeter(t, "tcp", "127.0.0.1:0", reached, nil).(*net.TCPAddr).Port
	other := []string{"--allow-cidr", "10.9.8.7/32"}
	for _, c := range []struct {
		name, release, fault string
		flags                []string
		to, want             string
	}{
		{"tsi without a policy reaches the host's loopback", "0.8.0", "", []string{"--net"}, "127.0.0.1", reached},
		{"tsi denies", "0.8.0", "", other, "127.0.0.1", denied},
		{"tsi allows", "0.8.0", "", []string{"--allow-cidr", "127.0.0.1"}, "127.0.0.1", reached},
		{"outbound-localhost-only", "0.8.0", "", []string{"--outbound-localhost-only"}, "127.0.0.1", reached},
		{"the fault opens tsi", "0.8.0", "allowlist-ignored", other, "127.0.0.1", reached},
		{"the newest without a policy is tsi", newest, "", []string{"--net"}, "127.0.0.1", reached},
		{"virtio-net has a loopback of its own", newest, "", other, "127.0.0.1", refused},
		{"virtio-net denies the gateway", newest, "", other, "100.96.0.1", refused},
		{"virtio-net's gateway is the host's loopback", newest, "", []string{"--net", "--net-backend", "virtio-net"}, "100.96.0.1", reached},
		{"the fault opens virtio-net", newest, "allowlist-ignored", other, "100.96.0.1", reached},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, c.release, "SMOLVM_SIM_FAULTS="+c.fault)
			h.boot(c.flags...)
			if got := h.dial(c.to, port); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDenialLog(t *testing.T) {
	h := newHost(t, newest)
	h.boot("--allow-cidr", "10.9.8.7/32")
	h.dial("198.51.100.77", 81)
	b, err := os.ReadFile(filepath.Join(h.vmDir("m"), fileDenials))
	if err != nil {
		t.Fatal(err)
	}
	var d denial
	if err := json.Unmarshal(b, &d); err != nil || d.Operation != "connect" || d.Dest != "198.51.100.77:81" || d.Timestamp == "" {
		t.Errorf("got %s, %v", b, err)
	}
}

// What 0.8.0 lets through besides the list goes to the world and is seen there by its destination; no packet leaves the host.
func TestWorldSeesTheAddedResolver(t *testing.T) {
	world := filepath.Join(t.TempDir(), "w")
	seen := make(chan string, 8)
	greeter(t, "unix", world, "the world", func(first string) { seen <- first })
	h := newHost(t, "0.8.0", "SMOLVM_SIM_WORLD="+world)
	h.boot("--allow-cidr", "10.9.8.7/32")
	if got := h.dial("1.1.1.1", 443); got != "the world" {
		t.Fatalf("1.1.1.1: %q", got)
	}
	if first := <-seen; !strings.Contains(first, `"destination":"1.1.1.1:443"`) || !strings.Contains(first, `"machine":"m"`) {
		t.Errorf("the world was told %s", first)
	}
	if got := h.dial("198.51.100.77", 443); !strings.Contains(got, "Permission denied") {
		t.Errorf("198.51.100.77: %q", got)
	}
	select {
	case first := <-seen:
		t.Errorf("the world saw %s", first)
	default:
	}
}

func TestExplicitTSINextToAPolicyIsRefusedAtStart(t *testing.T) {
	for release, backend := range map[string]string{"0.8.0": "virtio-net", newest: "tsi"} {
		h := newHost(t, release)
		h.must(h.createArgs("m", "--allow-cidr", "10.9.8.7/32", "--net-backend", backend)...)
		if got := h.run("machine", "start", "--name", "m"); got.code != 1 || !strings.Contains(got.stderr, "net-backend") {
			t.Errorf("%s: %+v", release, got)
		}
		if got := h.must("machine", "status", "--name", "m", "--json"); !strings.Contains(got, `"state": "created"`) {
			t.Errorf("%s: %s", release, got)
		}
	}
}

func TestGuestCannotChangeItsNetwork(t *testing.T) {
	for _, release := range simulated {
		t.Run(release, func(t *testing.T) {
			h := newHost(t, release)
			h.boot("--allow-cidr", "10.9.8.7/32")
			before := h.guest("ip rule; ip route show table all; ip -6 route show table all; ip addr")
			for _, script := range []string{
				"ip route replace default dev eth0", "ip rule add pref 1 lookup local", "ip rule flush", "ip link set eth0 down", "ip addr flush dev eth0",
				"ip tuntap add dev t0 mode tun", "unshare -Urn true && nsenter --net=/proc/1/ns/net ip link set lo down",
				"unshare -Ur ip link set lo down",
			} {
				if got := h.run("machine", "exec", "--name", "m", "--", "sh", "-c", script); got.code == 0 {
					t.Errorf("%q succeeded: %+v", script, got)
				}
			}
			if after := h.guest("ip rule; ip route show table all; ip -6 route show table all; ip addr"); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}
