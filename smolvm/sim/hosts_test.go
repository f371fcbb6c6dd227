//go:build linux

package sim

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A world answers every name with 198.51.100.53 or 2001:db8::53, every stream with "the world", and knows what it was asked.
type world struct {
	path string
	mu   sync.Mutex
	seen []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{path: filepath.Join(t.TempDir(), "w")}
	l, err := net.Listen("unix", w.path)
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
			go w.serve(c)
		}
	}()
	return w
}

func (w *world) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	line, _ := in.ReadBytes('\n')
	var flow struct{ Network, Destination string }
	if json.Unmarshal(line, &flow) != nil {
		return
	}
	if flow.Network == "tcp" {
		w.note("tcp " + flow.Destination)
		_, _ = in.ReadString('\n')
		fmt.Fprintln(c, "the world")
		return
	}
	for {
		var size uint16
		if binary.Read(in, binary.BigEndian, &size) != nil {
			return
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		q := new(dns.Msg)
		if q.Unpack(b) != nil || len(q.Question) != 1 {
			w.note(flow.Network + " " + flow.Destination + " " + strings.TrimSpace(string(b)))
			continue
		}
		w.note(flow.Network + " " + q.Question[0].Name)
		_, _ = c.Write(addressed(q))
	}
}

func addressed(q *dns.Msg) []byte {
	m := new(dns.Msg).SetReply(q)
	head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
	switch head.Rrtype {
	case dns.TypeA:
		m.Answer = []dns.RR{&dns.A{Hdr: head, A: net.ParseIP("198.51.100.53")}}
	case dns.TypeAAAA:
		m.Answer = []dns.RR{&dns.AAAA{Hdr: head, AAAA: net.ParseIP("2001:db8::53")}}
	}
	b, _ := m.Pack()
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, what)
}

// saw reports whether anything the world was asked has part in it.
func (w *world) saw(part string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(strings.Join(w.seen, "\n"), part)
}

// resolve asks for a name as any program of the guest's does.
func (h *host) resolve(name string) string {
	h.t.Helper()
	r := h.run("machine", "exec", "--name", "m", "--timeout", "20s", "--", "getent", "ahostsv4", name)
	first, _, _ := strings.Cut(r.stdout, " ")
	return first
}

// The allowed name resolves and its address is reached; no other name does, and no other address is.
func TestAllowHost(t *testing.T) {
	for _, release := range []string{"0.8.0", "1.0.2", newest} {
		t.Run(release, func(t *testing.T) {
			w := newWorld(t)
			h := newHost(t, release, "SMOLVM_SIM_WORLD="+w.path)
			h.boot("--allow-host", "allowed.example")
			if got := h.resolve("allowed.example"); got != "198.51.100.53" {
				t.Errorf("allowed.example: %q", got)
			}
			if got := h.resolve("other.example"); got != "" || w.saw("other.example") {
				t.Errorf("other.example: %q, seen by the world: %v", got, w.saw("other.example"))
			}
			if got := h.dial("198.51.100.53", 443); got != "the world" {
				t.Errorf("its address: %q", got)
			}
			if got := h.dial("198.51.100.54", 443); !strings.Contains(got, "denied") && !strings.Contains(got, "refused") {
				t.Errorf("another address: %q", got)
			}
		})
	}
}

// 0.8.0 wrote /32 behind an IPv6 address too, and so opened a provider's worth of them.
func TestAllowHostOfOldOpensHalfOfIPv6(t *testing.T) {
	for release, want := range map[string]bool{"0.8.0": true, "0.8.1": false} {
		w := newWorld(t)
		h := newHost(t, release, "SMOLVM_SIM_WORLD="+w.path)
		h.boot("--allow-host", "allowed.example")
		if got := h.dial("2001:db8::53", 443); got != "the world" {
			t.Errorf("%s: its address: %q", release, got)
		}
		if got := h.dial("2001:db8:ffff::1", 443) == "the world"; got != want {
			t.Errorf("%s: a neighbour is reached: %v", release, got)
		}
	}
}

func TestAllowHostThatDoesNotResolve(t *testing.T) {
	requireNamespaces(t)
	h := newHost(t, newest)
	got := h.run("machine", "create", "--name", "m", "--allow-host", "allowed.example")
	if got.code != 1 || !strings.Contains(got.stderr, "failed to resolve 'allowed.example'") {
		t.Errorf("create: %+v", got)
	}
	for _, bad := range []string{"", "a..b", "https://x", "x:443", "*.example"} {
		if got := h.run("machine", "create", "--name", "m", "--allow-host", bad); got.code == 0 {
			t.Errorf("%q is taken: %+v", bad, got)
		}
	}
	if got := h.must("machine", "ls", "--json"); strings.TrimSpace(got) != "[]" {
		t.Errorf("left behind: %s", got)
	}
	w := newWorld(t)
	h.env = append(h.env, "SMOLVM_SIM_WORLD="+w.path)
	h.must("machine", "create", "--name", "m", "--allow-host", "allowed.example")
	h.env = append(h.env, "SMOLVM_SIM_WORLD=")
	if got := h.run("machine", "start", "--name", "m"); got.code != 0 || !strings.Contains(got.stderr, "WARN failed to resolve allowed host 'allowed.example'") {
		t.Errorf("start: %+v", got)
	}
	if got := h.dial("198.51.100.53", 443); !strings.Contains(got, "refused") {
		t.Errorf("closed it is not: %q", got)
	}
}

func TestHostSmolvmInternal(t *testing.T) {
	for release, want := range map[string]string{"1.8.0": "198.51.100.53", newest: "100.96.0.1"} {
		w := newWorld(t)
		h := newHost(t, release, "SMOLVM_SIM_WORLD="+w.path)
		h.boot("--net", "--net-backend", "virtio-net")
		if got := h.resolve("host.smolvm.internal"); got != want {
			t.Errorf("%s: %q, want %q", release, got, want)
		}
	}
}

// Each network fault opens what it says; the same probe without it is shut.
func TestNetworkFaults(t *testing.T) {
	own := ownAddress(t)
	port := unusedPort(t)
	for fault, c := range map[string]struct {
		flags []string
		probe func(*host, *world) bool
	}{
		"udp-unfiltered": {[]string{"--allow-cidr", "10.9.8.7"}, func(h *host, w *world) bool {
			h.guest("bash -c 'echo nonce > /dev/udp/198.51.100.77/4444'")
			return soon(func() bool { return w.saw("udp 198.51.100.77:4444 nonce") })
		}},
		"ipv6-unfiltered": {[]string{"--allow-cidr", "10.9.8.7"}, func(h *host, _ *world) bool {
			return h.dial("2001:db8::77", 4444) == "the world"
		}},
		"resolver-open": {[]string{"--allow-host", "allowed.example"}, func(h *host, w *world) bool {
			return h.resolve("other.example") != "" && w.saw("other.example")
		}},
		"publish-all-interfaces": {[]string{"-p", fmt.Sprint(port, ":8080")}, func(h *host, _ *world) bool {
			h.serve("m", "0.0.0.0:8080")
			if got := visit(fmt.Sprint("127.0.0.1:", port), 5*time.Second); !strings.HasPrefix(got, "guest") {
				h.t.Errorf("the port is not published at all: %q", got)
			}
			return strings.HasPrefix(visit(net.JoinHostPort(own, fmt.Sprint(port)), 0), "guest")
		}},
	} {
		for _, set := range []string{"", fault} {
			t.Run(fault+"="+set, func(t *testing.T) {
				w := newWorld(t)
				h := newHost(t, newest, "SMOLVM_SIM_WORLD="+w.path, "SMOLVM_SIM_FAULTS="+set)
				h.boot(c.flags...)
				if got := c.probe(h, w); got != (set != "") {
					t.Errorf("with SMOLVM_SIM_FAULTS=%q: open is %v", set, got)
				}
			})
		}
	}
}

// soon waits for what a datagram does.
func soon(ok func() bool) bool {
	for range 50 {
		if ok() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// ownAddress is one of this host's that is not loopback, nor on lo or a bridge: one of those may go away in the middle of a test.
func ownAddress(t *testing.T) string {
	t.Helper()
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if _, err := os.Stat("/sys/class/net/" + l.Name + "/bridge"); err == nil || l.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, _ := l.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
				return p.Addr().String()
			}
		}
	}
	skip(t, "this host has loopback and bridge addresses only")
	return ""
}

func TestFloorVariable(t *testing.T) {
	for word, want := range map[string]floor{
		"": floorStrict, "off": floorOff, "None": floorOff, "metadata-only": floorMetadata, "STRICT": floorStrict, "bogus": floorStrict,
	} {
		env := environ{"SMOLVM_PUBLISH_ADDR": "127.0.0.1", "SMOLVM_EGRESS_FLOOR": word}
		names := map[int]floor{0: floorOff, len(metadataFloor): floorMetadata, len(strictFloor): floorStrict}
		if got := names[len(atRelease(t, newest).floor(env))]; got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}
