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
	if f.Network == "udp" {
		framed := &framedConn{Conn: conn, in: in}
		buf := make([]byte, 1<<16)
		for {
			n, err := framed.Read(buf)
			if err != nil {
				return
			}
			w.note(string(buf[:n]))
			_, _ = framed.Write([]byte("world " + string(buf[:n])))
		}
	}
	nonce, err := in.ReadString('\n')
	if err != nil {
		return
	}
	w.note(strings.TrimSpace(nonce))
	_, _ = fmt.Fprintf(conn, "world %s\n", strings.TrimSpace(nonce))
}
