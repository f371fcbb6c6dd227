package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A first is a connection that keeps what a TLS client says first.
type first struct {
	net.Conn
	sent bytes.Buffer
}

func (f *first) Write(b []byte) (int, error) { return f.sent.Write(b) }
func (f *first) Read([]byte) (int, error)    { return 0, io.EOF }
func (f *first) Close() error                { return nil }

func hello(name string) []byte {
	var f first
	_ = tls.Client(&f, &tls.Config{ServerName: name, InsecureSkipVerify: name == ""}).HandshakeContext(context.Background()) //nolint:gosec // nobody answers
	return f.sent.Bytes()
}

// A far is the far side of a tunnel: it keeps what came in, and says nothing until it is closed.
type far struct {
	net.Conn
	in     bytes.Buffer
	closed chan struct{}
}

func (f *far) Write(b []byte) (int, error) { return f.in.Write(b) }
func (f *far) Read([]byte) (int, error)    { <-f.closed; return 0, net.ErrClosed }
func (f *far) Close() error                { close(f.closed); return nil }

// Whatever the pieces in which it comes, nothing of what is refused gets to the far side, and all of what is not does.
func TestTunnelHoldsHellosBack(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want bool
	}{
		"the listed name":    {hello("listed.example"), true},
		"another name":       {hello("other.example"), false},
		"no name":            {hello(""), true},
		"no TLS":             {[]byte("GET / HTTP/1.0\r\n\r\n"), true},
		"TLS that is none":   {append([]byte{22, 3, 1, 0, 4, 1, 0, 0, 0}, "x"...), false},
		"a hello of 20 KiB":  {append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0x50, 0}, make([]byte, 20<<10)...), false},
		"half of a hello":    {hello("listed.example")[:60], false},
		"a server's version": {[]byte("SSH-2.0-x\r\n"), true},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			f := &far{closed: make(chan struct{})}
			tun := &tunnel{Conn: f, judge: func(n string) bool { return n == "listed.example" }}
			for rest := c.in; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if n, err := tun.Write(rest[:min(size, len(rest))]); err != nil || n != min(size, len(rest)) {
					t.Fatalf("%s: %d, %v", name, n, err)
				}
			}
			if got := f.in.Bytes(); bytes.Equal(got, c.in) != c.want || !c.want && len(got) > 0 {
				t.Errorf("%s in pieces of %d: %d of %d bytes arrived, want them: %t", name, size, len(got), len(c.in), c.want)
			}
		}
	}
}

// tlsOrigin is a server that knows many names at one address.
func tlsOrigin(t *testing.T) (at string) {
	t.Helper()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "origin of "+r.TLS.ServerName) }))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// A tunnel to a listed host is no way to another name at its address, and the client hears that it was a rule.
func TestTunnelToAnotherName(t *testing.T) {
	at := tlsOrigin(t)
	_, port, _ := net.SplitHostPort(at)
	listed := "localhost:" + port
	c := newChain(t, listed+",also.example:"+port)
	for name, want := range map[string]string{"localhost": "", "LOCALHOST": "", "also.example": "", "other.example": "access denied", "also.example.": ""} {
		_, _, conn := raw(t, c.proxy.addr(), "CONNECT "+listed+" HTTP/1.1\r\nHost: "+listed+"\r\n\r\n")
		client := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true}) //nolint:gosec // whose certificate is no matter here
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := client.HandshakeContext(ctx)
		cancel()
		var alert tls.AlertError
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v (an alert: %t)", name, err, errors.As(err, &alert))
		}
	}
	wantDecision(t, c.proxy, "deny", "TLS", "other.example:"+port, "host-not-listed")
	wantDecision(t, c.proxy, "allow", "TLS", "also.example:"+port, "also.example:"+port)
}

// What a server says before its client does is no matter of names.
func TestTunnelToAServerThatSpeaksFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "220 ready\r\n")
		_, _ = io.Copy(conn, conn)
		_ = conn.Close()
	}()
	at := l.Addr().String()
	c := newChain(t, at)
	_, br, conn := raw(t, c.proxy.addr(), "CONNECT "+at+" HTTP/1.1\r\nHost: "+at+"\r\n\r\n")
	if line, err := br.ReadString('\n'); err != nil || line != "220 ready\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := io.WriteString(conn, "EHLO x\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(br); err != nil || string(rest) != "EHLO x\r\n" {
		t.Errorf("%q, %v", rest, err)
	}
}
