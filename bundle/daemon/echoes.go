package daemon

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bottle.internal/internal/echo"
)

// newEchoes answers who addresses a daemon itself: an echo for a nonce, a hint for anything else.
func newEchoes(secret echo.Secret, j *journal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := echo.Nonce(strings.TrimPrefix(r.URL.Path, echo.Path))
		if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, echo.Path) || !n.Valid() {
			hint(w, j.daemon)
			return
		}
		local := ""
		if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			local = a.String()
		}
		// Logged before it is answered: a dialler that knows of its echo can be sure of the witness.
		j.write(echo.Sighting{Name: j.daemon, Network: "tcp", Nonce: n, Peer: r.RemoteAddr, Local: local, Time: time.Now().UTC()})
		body := echo.Line(echo.NewReply(secret, j.daemon, n, r.RemoteAddr, local))
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Connection", "close")
		_, _ = w.Write(body)
	})
}

func hint(w http.ResponseWriter, daemon string) {
	w.Header().Set("Connection", "close")
	http.Error(w, fmt.Sprintf("bottle: %s is a forward proxy: set HTTP_PROXY and HTTPS_PROXY to http://<this address>, "+
		"or ask GET %s<nonce> for an echo", daemon, echo.Path), http.StatusBadRequest)
}
