package agent

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A listenerWatch looks for listeners of the guest on the ports that are probed at loopback addresses: such a listener would
// answer in place of the host's, on tsi because a connect asks the guest first, on virtio-net because it never leaves.
type listenerWatch struct {
	ports map[uint16]bool
	found []string // ip:port, each once
	notes []string
	// ways are how the listeners of a family are learned: the first that can tell is believed.
	ways []func(family uint8) ([]netip.AddrPort, error)
}

func newListenerWatch(attempts []Attempt) *listenerWatch {
	w := &listenerWatch{ports: make(map[uint16]bool), ways: []func(uint8) ([]netip.AddrPort, error){
		askedListeners, readListeners, // a kernel may lack inet_diag, and a sandbox keep it from its guests
	}}
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
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		var all []netip.AddrPort
		var err error
		for _, way := range w.ways {
			if all, err = way(family); err == nil {
				break
			}
		}
		if err != nil {
			if note := err.Error(); !slices.Contains(w.notes, note) {
				w.notes = append(w.notes, note)
			}
			continue
		}
		for _, addr := range all {
			if text := addr.String(); w.ports[addr.Port()] && !slices.Contains(w.found, text) {
				w.found = append(w.found, text)
			}
		}
	}
}

const (
	// diagRequestSize is the size of struct inet_diag_req_v2, diagSocketSize how much of struct inet_diag_msg is read here
	// (include/uapi/linux/inet_diag.h).
	diagRequestSize = 56
	diagSocketSize  = 24
	// tcpListen is TCP_LISTEN (include/net/tcp_states.h).
	tcpListen = 10
)

// askedListeners asks the kernel for the listening sockets of one family. It goes through those alone; the tables in /proc hold every
// connection, and their reader pays for each bucket that there is room for, which is 5 ms a table on a machine of 24 GiB.
func askedListeners(family uint8) ([]netip.AddrPort, error) {
	request := make([]byte, diagRequestSize)
	request[0], request[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(request[4:], 1<<tcpListen)
	rows, err := netlinkDump(unix.NETLINK_SOCK_DIAG, unix.SOCK_DIAG_BY_FAMILY, request)
	if err != nil {
		return nil, err
	}
	size := 4
	if family == unix.AF_INET6 {
		size = 16
	}
	var all []netip.AddrPort
	for _, row := range rows {
		if len(row) < diagSocketSize {
			return nil, unix.EPROTO
		}
		if row[0] != family || row[1] != tcpListen {
			continue
		}
		if addr, ok := netip.AddrFromSlice(row[8 : 8+size]); ok {
			all = append(all, netip.AddrPortFrom(addr, binary.BigEndian.Uint16(row[4:])))
		}
	}
	return all, nil
}

// readListeners reads the same from /proc.
func readListeners(family uint8) ([]netip.AddrPort, error) {
	path := "/proc/net/tcp"
	if family == unix.AF_INET6 {
		path = "/proc/net/tcp6"
	}
	table, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return listeners(string(table)), nil
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
