package daemon

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// A hop is a daemon's handler served on loopback with its journal.
type hop struct {
	srv *httptest.Server
	mu  sync.Mutex
	buf bytes.Buffer
}

func (h *hop) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.Write(b)
}

func (h *hop) journal() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}

func (h *hop) addr() netip.AddrPort { return netip.MustParseAddrPort(h.srv.Listener.Addr().String()) }

func serveHop(t *testing.T, name string, mk func(*journal) http.Handler) *hop {
	h := &hop{}
	j := newJournal(h, name)
	h.srv = httptest.NewUnstartedServer(mk(j))
	h.srv.Listener = overhearing{h.srv.Listener, j} // as serve does
	h.srv.Start()
	t.Cleanup(h.srv.Close)
	return h
}

// A chain is both daemons, as the bundle has them.
type chain struct {
	proxy, egress *hop
	secret        echo.Secret
}

func newChain(t *testing.T, allow string) *chain {
	t.Helper()
	rules, err := ParseRules(allow)
	if err != nil {
		t.Fatal(err)
	}
	c := &chain{secret: echo.NewSecret()}
	s := Settings{Secret: c.secret, Allow: rules}
	c.egress = serveHop(t, "egress", func(j *journal) http.Handler { return newEgress(s, j) })
	s.Upstream, _ = url.Parse(c.egress.srv.URL)
	c.proxy = serveHop(t, "proxy", func(j *journal) http.Handler { return newProxy(s, j) })
	return c
}

// client uses the chain as its proxy.
func (c *chain) client() *http.Client {
	u, _ := url.Parse(c.proxy.srv.URL)
	return &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(u), DisableKeepAlives: true}, Timeout: 10 * time.Second}
}

// raw sends head to at and returns the answer.
func raw(t *testing.T, at netip.AddrPort, head string) (*http.Response, *bufio.Reader, net.Conn) {
	t.Helper()
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatalf("answer to %q: %v", head, err)
	}
	return resp, br, conn
}

// origin is the server beyond the chain; host is how a request spells it.
func origin(t *testing.T) (host string) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "origin saw %s %s proxy-headers=%d", r.Method, r.URL.Path, len(r.Header.Values("Proxy-Authorization")))
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func TestAbsoluteGet(t *testing.T) {
	at := origin(t)
	c := newChain(t, at)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at+"/x", nil)
	req.Header.Set("Proxy-Authorization", "Basic eA==")
	resp, err := c.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if got, want := string(b), "origin saw GET /x proxy-headers=0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	wantDecision(t, c.proxy, "allow", "GET", at, at)
	wantDecision(t, c.egress, "allow", "DIAL", at+" "+at, at) // the chain was used, the proxy did not dial itself
}

func TestConnectTunnel(t *testing.T) {
	// A server that speaks first: its bytes may arrive together with the tunnel's answer.
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 hello\r\n")
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()
	at := l.Addr().String()
	c := newChain(t, at)
	resp, br, conn := raw(t, c.proxy.addr(), "CONNECT "+at+" HTTP/1.1\r\nHost: "+at+"\r\n\r\n")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %s", resp.Status)
	}
	if line, err := br.ReadString('\n'); line != "220 hello\r\n" {
		t.Errorf("greeting %q, %v", line, err)
	}
	_, _ = io.WriteString(conn, "ping\n")
	if line, err := br.ReadString('\n'); line != "ping\n" {
		t.Errorf("echo %q, %v", line, err)
	}
	wantDecision(t, c.proxy, "allow", "CONNECT", at, at)
}

func TestDenials(t *testing.T) {
	at := origin(t)
	c := newChain(t, "*,192.0.2.9,"+at)
	own := c.proxy.addr().String()
	egress := c.egress.addr().String()
	tests := []struct {
		name, head, rule string
	}{
		{"CONNECT to a port not listed", "CONNECT example.com:22", "port-not-listed"},
		{"CONNECT to an address not listed", "CONNECT 198.51.100.77:443", "host-not-listed"},
		{"CONNECT without a port", "CONNECT example.com", "malformed-target"},
		{"CONNECT to the egress hop", "CONNECT " + egress, "loopback"},
		{"CONNECT to the proxy", "CONNECT " + own, "loopback"},
		{"CONNECT to the egress hop by name", "CONNECT localhost:" + strings.Split(egress, ":")[1], "loopback"},
		{"CONNECT to the unspecified address", "CONNECT 0.0.0.0:80", "loopback"},
		{"GET from the egress hop", "GET http://" + egress + "/.bottle/echo/" + string(testNonce), "loopback"},
		{"GET from the proxy", "GET http://" + own + "/.bottle/echo/" + string(testNonce), "loopback"},
		{"GET by mapped loopback", "GET http://[::ffff:127.0.0.1]/", "loopback"},
		{"GET of metadata", "GET http://169.254.169.254/latest", "link-local"},
		{"GET on a port not listed", "GET http://192.0.2.9:81/", "port-not-listed"},
		{"GET over TLS", "GET https://example.com/", "malformed-target"},
		{"GET with credentials", "GET http://u:p@example.com/", "malformed-target"},
		{"GET of another scheme", "GET ftp://example.com/", "malformed-target"},
		{"allowed name in the Host header only", "GET http://198.51.100.77/", "host-not-listed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, _, _ := raw(t, c.proxy.addr(), tt.head+" HTTP/1.1\r\nHost: example.com\r\n\r\n")
			b, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(b), "rule "+tt.rule) {
				t.Errorf("got %s %q, want 403 by rule %s", resp.Status, b, tt.rule)
			}
			if j := c.proxy.journal(); !strings.Contains(j, `"rule":"`+tt.rule+`"`) {
				t.Errorf("not logged:\n%s", j)
			}
		})
	}
	if j := c.egress.journal(); j != "" {
		t.Errorf("something denied went on to the egress hop:\n%s", j)
	}
}

func TestEmptyAllowlistDeniesAll(t *testing.T) {
	c := newChain(t, "")
	resp, _, _ := raw(t, c.proxy.addr(), "GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %s, want 403", resp.Status)
	}
}

// A name that passes the proxy but resolves to the container itself is stopped where it is resolved.
func TestEgressGuardsWhatANameBecomes(t *testing.T) {
	at := origin(t)
	_, port, _ := net.SplitHostPort(at)
	c := newChain(t, "") // the hop alone: the name has been judged
	for _, head := range []string{"CONNECT localhost:" + port, "GET http://localhost:" + port + "/"} {
		resp, _, _ := raw(t, c.egress.addr(), head+" HTTP/1.1\r\nHost: x\r\n\r\n")
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(b), "rule loopback") {
			t.Errorf("%s: got %s %q, want 403 by rule loopback", head, resp.Status, b)
		}
	}
	wantDecision(t, c.egress, "deny", "DIAL", "localhost:"+port+" 127.0.0.1:"+port, "loopback")
}

// The hop's own 403 and the network's failure stay told apart across the chain.
func TestChainKeepsTheReason(t *testing.T) {
	dead := freeAddr(t)
	c := newChain(t, dead.String())
	for _, head := range []string{"CONNECT " + dead.String(), "GET http://" + dead.String() + "/"} {
		resp, _, _ := raw(t, c.proxy.addr(), head+" HTTP/1.1\r\nHost: x\r\n\r\n")
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusBadGateway || !strings.Contains(string(b), "refused") {
			t.Errorf("%s: got %s %q, want 502 with the reason", head, resp.Status, b)
		}
	}
	c.egress.srv.Close()
	resp, _, _ := raw(t, c.proxy.addr(), "CONNECT "+dead.String()+" HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadGateway || !strings.Contains(string(b), "egress hop") {
		t.Errorf("without the hop: got %s %q, want 502 naming the hop", resp.Status, b)
	}
}

func TestEchoIsWitnessed(t *testing.T) {
	c := newChain(t, "")
	for _, h := range []*hop{c.proxy, c.egress} {
		n := echo.NewNonce()
		r, err := echo.Ask(t.Context(), h.addr(), n)
		if err != nil {
			t.Fatal(err)
		}
		if !c.secret.Verify(n, r) || echo.NewSecret().Verify(n, r) {
			t.Errorf("%s: the proof is not this secret's: %+v", r.Name, r)
		}
		var s echo.Sighting
		if err := json.Unmarshal([]byte(h.journal()), &s); err != nil {
			t.Fatalf("not one JSON line: %q", h.journal())
		}
		if s.Nonce != n || s.Name != r.Name || s.Peer != r.Peer || s.Local != h.addr().String() || s.Network != "tcp" {
			t.Errorf("sighting %+v does not fit reply %+v", s, r)
		}
	}
}

func TestDirectRequestsGetAHint(t *testing.T) {
	c := newChain(t, "*")
	for _, head := range []string{"GET /", "GET /.bottle/echo/short", "POST /.bottle/echo/" + string(testNonce), "GET /.bottle/echo/" + string(testNonce) + "/x"} {
		resp, _, _ := raw(t, c.proxy.addr(), head+" HTTP/1.1\r\nHost: example.com\r\n\r\n")
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(b), "HTTP_PROXY") {
			t.Errorf("%s: got %s %q, want 400 with a hint", head, resp.Status, b)
		}
	}
	for _, d := range decisions(t, c.proxy) {
		if d.Decision != "deny" || d.Rule != notARequest.rule {
			t.Errorf("%+v", d)
		}
	}
	if j := c.proxy.journal(); strings.Count(j, "\n") != 4 || strings.Contains(j, `"nonce"`) {
		t.Errorf("witnessed what was no echo: %s", j)
	}
}

func wantDecision(t *testing.T, h *hop, want, method, to, rule string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(h.journal()), "\n") {
		var d decision
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Errorf("not a JSON line: %q", line)
		}
		if d.Decision == want && d.Method == method && d.Target == to && d.Rule == rule {
			return
		}
	}
	t.Errorf("no decision %s %s %q by %q in:\n%s", want, method, to, rule, h.journal())
}
