//go:build linux

package vnet

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A canary answers on the host, and knows what it was told.
type canary struct {
	name string
	addr netip.AddrPort
	mu   sync.Mutex
	saw  map[string]bool
}

// listenHost starts a TCP canary that answers "name line".
func listenHost(t testing.TB, name, addr string) *canary {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		unable(t, "cannot listen on %s: %v", addr, err)
	}
	t.Cleanup(func() { l.Close() })
	c := &canary{name: name, addr: l.Addr().(*net.TCPAddr).AddrPort(), saw: make(map[string]bool)}
	go serveLines(l, c.answer)
	return c
}

func serveLines(l net.Listener, answer func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go answer(conn)
	}
}

func (c *canary) answer(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	c.note(strings.TrimSpace(line))
	_, _ = fmt.Fprintf(conn, "%s %s\n", c.name, strings.TrimSpace(line))
}

func (c *canary) note(nonce string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saw[nonce] = true
}

func (c *canary) sighted(nonce string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.saw[nonce]
}

// listenHostUDP starts a UDP canary that answers "name datagram", or as many
// bytes as it was sent if that is more than a line.
func listenHostUDP(t *testing.T, name, addr string) *canary {
	t.Helper()
	l, err := net.ListenPacket("udp", addr)
	if err != nil {
		unable(t, "cannot listen on %s: %v", addr, err)
	}
	t.Cleanup(func() { l.Close() })
	c := &canary{name: name, addr: l.LocalAddr().(*net.UDPAddr).AddrPort(), saw: make(map[string]bool)}
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := l.ReadFrom(buf)
			if err != nil {
				return
			}
			if n > 1000 {
				_, _ = l.WriteTo(buf[:n], from)
				continue
			}
			c.note(string(buf[:n]))
			_, _ = l.WriteTo([]byte(name+" "+string(buf[:n])), from)
		}
	}()
	return c
}

// listenEcho starts a TCP server that echoes until the end and then ends.
func listenEcho(t testing.TB, addr string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		unable(t, "cannot listen on %s: %v", addr, err)
	}
	t.Cleanup(func() { l.Close() })
	go serveLines(l, func(c net.Conn) {
		defer c.Close()
		_, _ = io.Copy(c, c)
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// A world stands for everything that is not this host.
type world struct {
	canary
	path  string
	flows []worldFlow
	names map[string]string // addresses; any other name has 198.51.100.53
}

func listenWorld(t *testing.T) *world {
	t.Helper()
	w := &world{path: filepath.Join(t.TempDir(), "world"), canary: canary{name: "world", saw: make(map[string]bool)}}
	l, err := net.Listen("unix", w.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go serveLines(l, w.serve)
	return w
}

func (w *world) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	line, err := in.ReadBytes('\n')
	var f worldFlow
	if err != nil || json.Unmarshal(line, &f) != nil {
		return
	}
	w.mu.Lock()
	w.flows = append(w.flows, f)
	w.mu.Unlock()
	if f.Network != "tcp" {
		framed := &framedConn{Conn: conn, in: in}
		buf := make([]byte, 1<<16)
		for {
			n, err := framed.Read(buf)
			if err != nil {
				return
			}
			answer := append([]byte("world "), buf[:n]...)
			switch q := new(dns.Msg); {
			case f.Network == flowICMP:
				w.note(string(buf[:n]))
				answer = buf[:n]
			case q.Unpack(buf[:n]) == nil && len(q.Question) == 1:
				answer = w.resolve(q)
			default:
				w.note(string(buf[:n]))
			}
			_, _ = framed.Write(answer)
		}
	}
	nonce, err := in.ReadString('\n')
	if err != nil {
		return
	}
	w.note(strings.TrimSpace(nonce))
	_, _ = fmt.Fprintf(conn, "world %s\n", strings.TrimSpace(nonce))
}

// resolve notes the name that is asked for and answers with its address.
func (w *world) resolve(q *dns.Msg) []byte {
	name := strings.TrimSuffix(q.Question[0].Name, ".")
	w.note(name)
	w.mu.Lock()
	text, ok := w.names[name]
	w.mu.Unlock()
	if !ok {
		text = "198.51.100.53"
	}
	m := new(dns.Msg).SetReply(q)
	head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 1}
	addr := netip.MustParseAddr(text)
	switch {
	case head.Rrtype == dns.TypeA && addr.Is4():
		m.Answer = []dns.RR{&dns.A{Hdr: head, A: addr.AsSlice()}}
	case head.Rrtype == dns.TypeAAAA && addr.Is6():
		m.Answer = []dns.RR{&dns.AAAA{Hdr: head, AAAA: addr.AsSlice()}}
	}
	b, _ := m.Pack()
	return b
}
