// Package enginetest stands between a test and a container engine.
package enginetest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
)

// Proxy is the engine at host, spelled as in DOCKER_HOST, as another host until the test ends. Each request is shown to see first, by
// several goroutines at once; one that see has answered, which it reports, does not reach the engine.
func Proxy(t *testing.T, host string, see func(http.ResponseWriter, *http.Request) (answered bool)) string {
	t.Helper()
	network, address, _ := strings.Cut(host, "://")
	engine := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "engine" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !see(w, r) {
			engine.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return "tcp://" + server.Listener.Addr().String()
}
