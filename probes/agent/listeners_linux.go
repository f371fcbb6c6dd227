package agent

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A listenerWatch looks for listeners of the guest on the ports that are probed at loopback addresses: such a listener would
// answer in place of the host's, on tsi because a connect asks the guest first, on virtio-net because it never leaves.
type listenerWatch struct {
	ports map[uint16]bool
	found []string // ip:port, each once
	notes []string
}

func newListenerWatch(attempts []Attempt) *listenerWatch {
	w := &listenerWatch{ports: make(map[uint16]bool)}
	for _, a := range attempts {
		if a.Addr.Addr().Unmap().IsLoopback() || a.Addr.Addr().IsUnspecified() {
			w.ports[a.Addr.Port()] = true
		}
	}
	return w
}

// look adds what listens now.
func (w *listenerWatch) look() {
	if len(w.ports) == 0 {
		return
	}
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(path)
		if err != nil {
			if note := err.Error(); !slices.Contains(w.notes, note) {
				w.notes = append(w.notes, note)
			}
			continue
		}
		for _, addr := range listeners(string(table)) {
			if text := addr.String(); w.ports[addr.Port()] && !slices.Contains(w.found, text) {
				w.found = append(w.found, text)
			}
		}
	}
}

// listening is TCP_LISTEN in the fourth column of /proc/net/tcp.
const listening = "0A"

// listeners reads the local addresses of listening sockets from a table in the form of /proc/net/tcp and tcp6.
func listeners(table string) []netip.AddrPort {
	var all []netip.AddrPort
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != listening {
			continue
		}
		if addr, ok := procAddr(f[1]); ok {
			all = append(all, addr)
		}
	}
	return all
}

// procAddr reads "0100007F:1F90": 32-bit words as the machine keeps them, and a port as people write it.
func procAddr(s string) (netip.AddrPort, bool) {
	ip, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(ip)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	p, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(addr, uint16(p)), ok && err == nil
}
