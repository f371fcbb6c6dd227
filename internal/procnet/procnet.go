// Package procnet reads proc(5)'s /proc/net/{tcp,udp}{,6}: what waits for peers in a network namespace.
package procnet

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// States of a /proc/net file's lines: a listening TCP socket, and a UDP socket without a peer.
const (
	tcpListen = "0A"
	udpBound  = "07"
)

// A Socket is one line of a /proc/net file that waits for peers.
type Socket struct {
	Addr  netip.AddrPort // unspecified: every address of the namespace
	Inode string
}

// Parse reads the /proc/net file of network, one of tcp, tcp6, udp and udp6: the listening or unconnected sockets in it. A line that cannot be read
// is an error, never a listener less.
func Parse(r io.Reader, network string) ([]Socket, error) {
	want := tcpListen
	if strings.HasPrefix(network, "udp") {
		want = udpBound
	}
	var out []Socket
	sc := bufio.NewScanner(r)
	for line := 0; sc.Scan(); line++ {
		f := strings.Fields(sc.Text())
		if line == 0 || len(f) == 0 {
			continue // the heading
		}
		if len(f) < 10 {
			return nil, fmt.Errorf("line %d has %d fields: %q", line+1, len(f), sc.Text())
		}
		if f[3] != want {
			continue
		}
		addr, err := parseHexAddr(f[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line+1, err)
		}
		out = append(out, Socket{addr, f[9]})
	}
	return out, sc.Err()
}

// parseHexAddr reads "0100007F:22B8": the address as 32-bit words in the machine's byte order, the port as a number.
func parseHexAddr(text string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(text, ":")
	p, perr := strconv.ParseUint(port, 16, 16)
	b, err := hex.DecodeString(host)
	if !ok || perr != nil || err != nil || len(port) != 4 || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("%q is not a socket address", text)
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, uint16(p)), nil
}
