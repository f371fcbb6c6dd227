package bundle

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What the proxy allows goes the whole way: proxy, egress hop, a server on the host; what it does not allow does not, though
// it is the same server.
func TestThroughTheBundle(t *testing.T) {
	t.Parallel()
	img, n := defaultImage(t), newNetwork(t, nil)
	needGateway(t, n)
	allowed, denied := originAt(t, n.Gateway), originAt(t, n.Gateway)
	c, err := Run(t.Context(), img, WithNetwork(n, n.Host(2)), WithDaemons("proxy", "egress"), WithProxyAllow(allowed))
	t.Cleanup(func() { remove(t, "container", c.Remove) })
	if err != nil {
		t.Fatal(err)
	}
	proxy := &url.URL{Scheme: "http", Host: netip.AddrPortFrom(c.Addr(), 8888).String()}
	cl := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}, Timeout: 5 * time.Second}
	for at, want := range map[string]string{allowed: "origin for " + c.Addr().String(), denied: "rule port-not-listed"} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at+"/", nil)
		resp, err := cl.Do(req)
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !strings.Contains(string(b), want) {
			t.Errorf("%s: %s %q, want %q", at, resp.Status, b, want)
		}
	}
	if _, err := c.Sightings(t.Context()); err != nil { // waits for what the daemons have logged
		t.Error(err)
	}
	log, err := c.log(t.Context())
	if err != nil || !strings.Contains(string(log), `[egress] {"time":`) || !strings.Contains(string(log), allowed) {
		t.Errorf("the hop's decision is not in the log: %v\n%s", err, log)
	}
}

// originAt serves on a, and says whom it saw.
func originAt(t *testing.T, a netip.Addr) string {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(a, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "origin for "+r.RemoteAddr)
	}))
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return l.Addr().String()
}
