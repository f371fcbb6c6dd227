package agent

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// A tunnel is asked for, and what is meant for the far end is sent only if it was given.
func TestTunnel(t *testing.T) {
	const connect = "CONNECT far:1 HTTP/1.1\r\nHost: far:1\r\n\r\n"
	for _, c := range []struct {
		name, says string
		stage      Stage
		want       Observation
		through    bool
	}{
		{"200", "HTTP/1.1 200 Connection established\r\n\r\n", StageDone, Reachable, true},
		{"200 without a word", "HTTP/1.0 200\r\nVia: x\r\n\r\n", StageDone, Reachable, true},
		{"403", "HTTP/1.1 403 Forbidden\r\nX: 1\r\n\r\nno", StageDone, Intercepted, false},
		{"2000", "HTTP/1.1 2000 OK\r\n\r\n", StageDone, Intercepted, false},
		{"no HTTP", "SSH-2.0-x 200 \r\n\r\n", StageDone, Intercepted, false},
		{"half a head", "HTTP/1.1 200 OK\r\n", StageRead, Intercepted, false},
		{"silence", "", StageRead, HandshakeOnly, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			far := make(chan string, 1)
			proxy := listener(t, "127.0.0.1:0", func(conn net.Conn) {
				in := bufio.NewReader(conn)
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				_, _ = io.WriteString(conn, c.says)
				b := make([]byte, 512)
				n, _ := in.Read(b) // until the attempt gives up
				if nonce, ok := echo.ParseRequest(b[:n]); ok {
					_, _ = conn.Write(echo.Response(echo.NewReply(echo.NewSecret(), "far", nonce, "", "")))
				}
				far <- string(b[:n])
			})
			nonce := echo.NewNonce()
			r := made(t, Attempt{Network: TCP4, Addr: proxy, Nonce: nonce, Send: [][]byte{[]byte(connect), echo.Request(nonce)}})
			r.reads(t, c.stage, "", c.want)
			if got := strings.Contains(<-far, string(nonce)); got != c.through {
				t.Errorf("the nonce went through: %t, want %t", got, c.through)
			}
			if !c.through && !strings.HasPrefix(c.says, string(r.Reply)) {
				t.Errorf("reply %q, want the proxy's head", r.Reply)
			}
		})
	}
}

// A DNS answer over TCP is whole by its length: the server may keep the connection.
func TestFramedAnswer(t *testing.T) {
	answer := "\x00\x05hello"
	server := listener(t, "127.0.0.1:0", func(conn net.Conn) {
		b := make([]byte, 512)
		_, _ = conn.Read(b)
		for _, part := range []string{answer[:1], answer[1:4], answer[4:]} {
			_, _ = io.WriteString(conn, part)
		}
		_, _ = conn.Read(b)
	})
	start := time.Now()
	r := made(t, Attempt{Network: TCP4, Addr: server, Send: [][]byte{[]byte("\x00\x03abc")}, BudgetMS: 5000})
	r.reads(t, StageDone, "", Intercepted)
	if took := time.Since(start); string(r.Reply) != answer || took > 2*time.Second {
		t.Errorf("%q after %s", r.Reply, took)
	}
}
