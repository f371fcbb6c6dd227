package agent

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
)

// A nameserver answers each question with data, or with another number first.
func nameserver(t *testing.T, answer func(question []byte) []byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if b := answer(append([]byte{}, buf[:n]...)); b != nil {
				other := append([]byte{^b[0]}, b[1:]...)
				_, _ = conn.WriteTo(other, from)
				_, _ = conn.WriteTo(b, from)
			}
		}
	}()
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}

// record is an answer with a CNAME and an A record.
func record(q []byte, ip [4]byte) []byte {
	q[2], q[3], q[7] = 0x81, 0x80, 2
	q = append(q, 0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 3, 1, 'x', 0)
	q = append(q, 1, 'x', 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
	return append(q, ip[:]...)
}

func TestByName(t *testing.T) {
	up := listener(t, "127.0.0.1:0", answer)
	defer func(h, r string, p uint16) { hostsFile, resolvConf, namePort = h, r, p }(hostsFile, resolvConf, namePort)
	dir := t.TempDir()
	hostsFile = write(t, filepath.Join(dir, "hosts"), "# 127.0.0.1 gone\n::1 listed\n127.0.0.1 a Listed # b\n")
	resolvConf = write(t, filepath.Join(dir, "resolv.conf"), "nameserver 127.0.0.1\n")
	for _, c := range []struct {
		name   string
		answer func([]byte) []byte
		want   Observation
	}{
		{"listed", nil, Reachable},
		{"b", nil, Unresolved},
		{"gone", func(q []byte) []byte { q[3] = 0x83; return q }, Unresolved},
		{"silent", func([]byte) []byte { return nil }, Unresolved},
		{"known.internal", func(q []byte) []byte { return record(q, [4]byte{127, 0, 0, 1}) }, Reachable},
		{"elsewhere.internal", func(q []byte) []byte { return record(q, [4]byte{127, 0, 0, 9}) }, Refused},
		{"cut.internal", func(q []byte) []byte { return record(q, [4]byte{127, 0, 0, 1})[:len(q)+20] }, Unresolved},
	} {
		namePort = 9
		if c.answer != nil {
			namePort = nameserver(t, c.answer).Port()
		}
		a := Attempt{Method: Named, Path: c.name, Addr: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.53"), up.Port()), BudgetMS: 1500}
		if got := run(t, request(a)).Results[0]; got.Observation != c.want {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

// FuzzNameAnswer: whatever a nameserver says, an address comes out or none.
func FuzzNameAnswer(f *testing.F) {
	q := nameQuestion("x.internal")
	f.Add(record(append([]byte{}, q...), [4]byte{1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < len(q) {
			return
		}
		if ip, ok := nameAnswer(b, len(q)); ok != ip.IsValid() {
			t.Error(fmt.Sprint(ip, ok))
		}
	})
}
