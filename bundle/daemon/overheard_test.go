package daemon

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// What is refused is in the log with the nonces that were said, be it that a rule refused it or that it is no request at all; and
// nothing else that was said is.
func TestRefusalsNameTheirNonces(t *testing.T) {
	c := newChain(t, "listed.invalid")
	const secret = "hunter2hunter2hunter2"
	for name, tt := range map[string]struct{ say, rule string }{
		"a tunnel":             {"CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\nX-Bottle-Nonce: %[1]s\r\nProxy-Authorization: " + secret + "\r\n\r\n", "host-not-listed"},
		"a request":            {"GET http://192.0.2.1" + echo.Path + "%[1]s HTTP/1.1\r\nHost: 192.0.2.1\r\nCookie: " + secret + "\r\n\r\n", "host-not-listed"},
		"one behind a refused": {"GET http://other.invalid/ HTTP/1.1\r\nHost: other.invalid\r\n\r\nGET http://192.0.2.1" + echo.Path + "%[1]s HTTP/1.1\r\nHost: a\r\n\r\n", "host-not-listed"},
		"no request":           {"CONNECT a\x00b HTTP/1.1\r\nHost: a\x00b\r\nX-Bottle-Nonce: %[1]s\r\nCookie: " + secret + "\r\n\r\n", "not-a-request"},
		"two lengths":          {"POST http://listed.invalid/ HTTP/1.1\r\nHost: listed.invalid\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\nGET http://a" + echo.Path + "%[1]s HTTP/1.1\r\n\r\n", "not-a-request"},
	} {
		n := echo.NewNonce()
		answer := say(t, c.proxy, fmt.Sprintf(tt.say, n))
		if !strings.HasPrefix(answer, "HTTP/1.1 4") {
			t.Errorf("%s: %q", name, answer)
		}
		found := slices.ContainsFunc(decisions(t, c.proxy), func(d decision) bool {
			return d.Decision == "deny" && d.Rule == tt.rule && slices.Contains(d.Nonces, string(n))
		})
		if !found {
			t.Errorf("%s: no refusal by %s names %s in\n%s", name, tt.rule, n, c.proxy.journal())
		}
	}
	if strings.Contains(c.proxy.journal(), secret) {
		t.Error("the log has what only the proxy was to know")
	}
}

// What an origin answers is no refusal of the proxy's.
func TestAnswersAreNoRefusals(t *testing.T) {
	origin := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(origin.Close)
	at := strings.TrimPrefix(origin.URL, "http://")
	c := newChain(t, at)
	n := echo.NewNonce()
	say(t, c.proxy, fmt.Sprintf("GET http://%s%s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", at, echo.Path, n, at))
	for _, d := range decisions(t, c.proxy) {
		if d.Decision == "deny" {
			t.Errorf("%+v", d)
		}
	}
	if all := decisions(t, c.proxy); len(all) != 1 || !slices.Contains(all[0].Nonces, string(n)) {
		t.Errorf("%+v", all)
	}
}

// say says text to a hop and returns what comes back in a while.
func say(t *testing.T, h *hop, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", h.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 4096)
	k, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:k])
}

func decisions(t *testing.T, h *hop) []decision {
	t.Helper()
	var all []decision
	for line := range strings.Lines(h.journal()) {
		var d decision
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		if d.Decision != "" {
			all = append(all, d)
		}
	}
	return all
}
