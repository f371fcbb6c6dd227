package probes

import (
	"bytes"
	"encoding/binary"

	"bottle.internal/internal/echo"
)

// A message is what a canary understood of a datagram, or of the beginning of a stream.
type message struct {
	form  string     // echoForm, "tls", "dns", "http" or "quic"; "" is none of them
	nonce echo.Nonce // "" for none so far
	whole bool       // nothing more is needed to answer
	query query      // of a DNS message
}

// echoForm is the form of the kit's own protocol, which a sighting names by what it came over.
const echoForm = "echo"

// readStream understands the beginning of a stream, of which no more comes if last. A form is read as far as it has come: its
// nonce is there before the whole of it is, but never a part of a nonce. What is no echo is tried as a TLS ClientHello, a DNS
// message over TCP and an HTTP request, which no bytes can be at once: a record of TLS begins with 22, HTTP with a capital, and
// as the length of a DNS message either is more than a canary reads.
func readStream(b []byte, last bool) message {
	if n, ok := echo.ParseRequest(b); ok {
		m := message{form: echoForm, whole: last || bytes.HasSuffix(b, []byte("\n"))}
		if last || bytes.ContainsRune(b, '\n') {
			m.nonce = n
		}
		return m
	}
	if n, whole, ok := readHello(b); ok {
		return message{form: "tls", nonce: n, whole: whole}
	}
	if n, whole, ok := readHTTP(b, last); ok {
		return message{form: "http", nonce: n, whole: whole}
	}
	return readDNSStream(b)
}

// readDNSStream understands DNS messages, each behind its length: the first that has a nonce, or else the last.
func readDNSStream(b []byte) message {
	var m message
	for rest := cursor(b); len(rest) > 0 && m.nonce == ""; {
		frame, whole := rest.vector(2)
		q, err := parseQuery(frame)
		if err != nil {
			continue
		}
		n, _ := q.nonce()
		m = message{form: "dns", nonce: n, whole: n != "" && whole, query: q}
	}
	return m
}

// readDatagram understands a datagram: an echo, a QUIC Initial or a DNS query.
func readDatagram(b []byte) message {
	if n, ok := echo.ParseRequest(b); ok {
		return message{form: echoForm, nonce: n, whole: true}
	}
	if n, ok := readQUIC(b); ok {
		return message{form: "quic", nonce: n, whole: true}
	}
	q, err := parseQuery(b)
	if err != nil {
		return message{}
	}
	n, _ := q.nonce()
	return message{form: "dns", nonce: n, whole: true, query: q}
}

// proveStream proves to v, whose stream began with m, that its nonce arrived, with what is made of s; nil if there was none. A
// ClientHello is answered in the clear: whoever sent it to have a nonce seen is no TLS client, and no certificate proves what the
// nonce's proof does.
func (m message) proveStream(v *visit, s echo.Secret) []byte {
	if m.nonce == "" {
		return nil
	}
	r := echo.NewReply(s, v.Name, m.nonce, v.Peer, v.Local)
	if m.form != "dns" {
		return echo.Response(r)
	}
	b := m.query.answer(echo.Line(r))
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// answerDatagram is what proves r to the sender of m.
func (m message) answerDatagram(r echo.Reply) []byte {
	if m.form != "dns" {
		return echo.Line(r)
	}
	return m.query.answer(echo.Line(r))
}

// findNonce is the first nonce in text, in upper or lower case: 32 hex digits that are no part of more.
func findNonce(text string) (echo.Nonce, bool) {
	const size = 32
	lower := bytes.ToLower([]byte(text))
	for from := 0; from < len(lower); {
		to := from
		for to < len(lower) && isHex(lower[to]) {
			to++
		}
		if to-from == size {
			return echo.Nonce(lower[from:to]), true
		}
		from = to + 1
	}
	return "", false
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
