package probes

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"

	"bottle.internal/internal/echo"
)

// dohRequest asks for the text of a name that carries n by DNS over HTTPS (RFC 8484, 4.1), in the clear. The nonce stands in
// nothing but the query, as it would with a client of DoH.
func dohRequest(n echo.Nonce) []byte {
	q := dnsQuery(n, canaryZone, typeTXT)
	q[0], q[1] = 0, 0 // an id of 0, for caches
	return []byte("GET /dns-query?dns=" + base64.RawURLEncoding.EncodeToString(q) + " HTTP/1.1\r\n" +
		"Host: " + canaryZone + "\r\nAccept: application/dns-message\r\n\r\n")
}

// readHTTP finds a nonce in the target or the Host of an HTTP/1 request of any method and form, and whether its head has come to an
// end. It reports false for what is no such request, or not yet. Lines that have not come to an end are not read, unless they are
// the last.
func readHTTP(b []byte, last bool) (n echo.Nonce, whole, ok bool) {
	if end := bytes.LastIndexByte(b, '\n'); !last && end >= 0 {
		b = b[:end+1]
	} else if !last {
		return "", false, false
	}
	line, rest, _ := strings.Cut(string(b), "\n")
	method, target, ok := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
	target, version, ok2 := cutLast(target, " ")
	if !ok || !ok2 || method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" || !strings.HasPrefix(version, "HTTP/1.") {
		return "", false, false
	}
	n, found := nonceOfTarget(target)
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return n, true, true
		}
		name, value, _ := strings.Cut(line, ":")
		if !found && strings.EqualFold(name, "Host") {
			n, found = findNonce(value)
		}
	}
	return n, false, true
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// nonceOfTarget finds a nonce in a request's target: as it stands, behind percent signs, or in the query of DNS over HTTPS.
func nonceOfTarget(target string) (echo.Nonce, bool) {
	if n, ok := findNonce(target); ok {
		return n, true
	}
	if plain, err := url.PathUnescape(target); err == nil {
		if n, ok := findNonce(plain); ok {
			return n, true
		}
	}
	_, params, _ := strings.Cut(target, "?")
	for param := range strings.SplitSeq(params, "&") {
		text, ok := strings.CutPrefix(param, "dns=")
		if !ok {
			continue
		}
		b, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		if q, err := parseQuery(b); err == nil {
			return q.nonce()
		}
	}
	return "", false
}
