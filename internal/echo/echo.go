// Package echo is the wire protocol between a probe and a canary.
//
// A dialler sends a nonce; a canary answers with a proof that only a holder of its secret can compute. So a guest that
// never reached the canary cannot claim that it did, and a canary's log of nonces says which attempts arrived whatever the
// guest claims. The stream form is a minimal HTTP/1.0 GET, so that an HTTP server can carry it beside its own work; the
// datagram form is one line. Both are stable: a canary and an agent of different builds must understand each other.
package echo

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// Path is the HTTP path prefix; the nonce follows it.
	Path = "/.bottle/echo/"
	// datagram is what a UDP request starts with.
	datagram = "BOTTLE "
	// MaxReply bounds, in bytes, what a dialler reads of an answer.
	MaxReply = 4 << 10
)

// ErrForeign says that something answered which is not the canary: another service, a block page, a man in the middle.
var ErrForeign = errors.New("echo: the answer is not the canary's")

// A Nonce is 128 random bits in 32 lower-case hex digits: one per attempt, the only proof that a byte went somewhere.
type Nonce string

// NewNonce returns a fresh nonce. It cannot fail: crypto/rand ends the process rather than return predictable bytes.
func NewNonce() Nonce {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return Nonce(hex.EncodeToString(b[:]))
}

// Valid reports whether n has the form of a nonce.
func (n Nonce) Valid() bool {
	if len(n) != 32 {
		return false
	}
	for _, c := range []byte(n) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// A Secret is what a canary and the host share and no guest knows. The zero Secret proves nothing and verifies nothing.
type Secret [32]byte

// NewSecret returns a fresh secret.
func NewSecret() Secret {
	var s Secret
	_, _ = rand.Read(s[:])
	return s
}

// ParseSecret reads what String printed.
func ParseSecret(text string) (Secret, error) {
	var s Secret
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(s) {
		return Secret{}, fmt.Errorf("echo: a secret is %d hex digits", 2*len(s))
	}
	copy(s[:], b)
	return s, nil
}

// String is the secret in hex, for handing it to a canary through its environment. It must never reach a guest.
func (s Secret) String() string { return hex.EncodeToString(s[:]) }

// Proof is what a canary holding s answers to n.
func (s Secret) Proof(n Nonce) string {
	mac := hmac.New(sha256.New, s[:])
	mac.Write([]byte(n))
	return hex.EncodeToString(mac.Sum(nil))
}

// Verify reports whether r is the answer to n of a canary that holds s.
func (s Secret) Verify(n Nonce, r Reply) bool {
	return s != (Secret{}) && r.Nonce == n && hmac.Equal([]byte(r.Proof), []byte(s.Proof(n)))
}

// A Reply is a canary's answer: one JSON line.
type Reply struct {
	Bottle string `json:"bottle"` // always "echo"
	Name   string `json:"name"`   // the listener's name
	Nonce  Nonce  `json:"nonce"`
	Proof  string `json:"proof"`
	Peer   string `json:"peer"`  // the dialler's ip:port as the canary saw it
	Local  string `json:"local"` // the canary's own ip:port
}

// NewReply is the answer of the canary called name, holding s, to n.
func NewReply(s Secret, name string, n Nonce, peer, local string) Reply {
	return Reply{Bottle: "echo", Name: name, Nonce: n, Proof: s.Proof(n), Peer: peer, Local: local}
}

// A Sighting is one nonce that arrived at a canary: the host-side witness.
type Sighting struct {
	Name    string    `json:"name"`
	Network string    `json:"network"` // "tcp", "udp", or what else the nonce came in: "tls", "http", "dns", "quic", "icmp"
	Nonce   Nonce     `json:"nonce"`
	Peer    string    `json:"peer"`
	Local   string    `json:"local"`
	Time    time.Time `json:"time"`
}

// Request is what a dialler sends on a stream to have n echoed.
func Request(n Nonce) []byte {
	return []byte("GET " + Path + string(n) + " HTTP/1.0\r\nHost: bottle\r\n\r\n")
}

// Datagram is what a dialler sends in one datagram to have n echoed.
func Datagram(n Nonce) []byte { return []byte(datagram + string(n)) }

// ParseRequest finds the nonce in the first bytes of a stream or in a datagram. It reports false for anything else.
func ParseRequest(b []byte) (Nonce, bool) {
	line, _, _ := strings.Cut(string(b), "\n")
	rest, ok := strings.CutPrefix(line, datagram)
	if !ok {
		if rest, ok = strings.CutPrefix(line, "GET "+Path); !ok {
			return "", false
		}
		rest, _, _ = strings.Cut(rest, " ")
	}
	n := Nonce(strings.TrimSpace(rest))
	return n, n.Valid()
}

// Response is the stream form of r.
func Response(r Reply) []byte {
	body := Line(r)
	head := fmt.Sprintf("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(body))
	return append([]byte(head), body...)
}

// Line is the datagram form of r, and the body of its stream form.
func Line(r Reply) []byte {
	b, _ := json.Marshal(r) // strings only: cannot fail
	return append(b, '\n')
}

// ParseResponse reads either form of an answer. Anything that is not an echo is ErrForeign; whether it is the right
// canary's, Secret.Verify decides.
func ParseResponse(b []byte) (Reply, error) {
	if strings.HasPrefix(string(b), "HTTP/") {
		_, body, ok := strings.Cut(string(b), "\r\n\r\n")
		if !ok {
			return Reply{}, ErrForeign
		}
		b = []byte(body)
	}
	var r Reply
	if err := json.Unmarshal(b, &r); err != nil || r.Bottle != "echo" || !r.Nonce.Valid() {
		return Reply{}, ErrForeign
	}
	return r, nil
}
