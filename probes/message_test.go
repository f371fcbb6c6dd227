package probes

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

// openers are first messages that carry n, with the form that each is seen as.
func openers(n echo.Nonce) map[string]struct {
	form string
	sent []byte
} {
	type msg = struct {
		form string
		sent []byte
	}
	upper := strings.ToUpper(string(n))
	return map[string]msg{
		"echo":                    {echoForm, echo.Request(n)},
		"ClientHello":             {"tls", clientHello(n)},
		"ClientHello, ALPN":       {"tls", clientHello(n, "h2", "http/1.1")},
		"ClientHello, in ALPN":    {"tls", clientHello("www", "x-"+string(n))},
		"ClientHello, in records": {"tls", records(clientHello(n), 7)},
		"DNS over TCP":            {"dns", dnsOverTCP(n, canaryZone, typeA)},
		"DNS over TCP, second": {"dns", append(binary.BigEndian.AppendUint16(nil, uint16(len(nameQuery("www.example", typeA)))),
			append(nameQuery("www.example", typeA), dnsOverTCP(n, "", typeTXT)...)...)},
		"DoH":             {"http", dohRequest(n)},
		"DoH, padded":     {"http", bytes.Replace(dohRequest(n), []byte(" HTTP/"), []byte("==&x=y HTTP/"), 1)},
		"HTTP, target":    {"http", []byte("POST /a/" + string(n) + "?b HTTP/1.1\r\nHost: x\r\n\r\n")},
		"HTTP, absolute":  {"http", []byte("GET http://" + upper + "." + canaryZone + "/ HTTP/1.1\r\nHost: x\r\n\r\n")},
		"HTTP, CONNECT":   {"http", []byte("CONNECT " + canaryName(n) + ":443 HTTP/1.1\r\nHost: x\r\n\r\n")},
		"HTTP, Host":      {"http", []byte("OPTIONS * HTTP/1.1\nAccept: */*\nhost:" + upper + ".example\n\n")},
		"HTTP, escaped":   {"http", []byte("GET /?u=http%3A%2F%2Fx%2F" + string(n) + " HTTP/1.0\r\n\r\n")},
		"HTTP, an echo's": {"http", []byte("PUT " + echo.Path + string(n) + " HTTP/1.1\r\nHost: x\r\n\r\n")},
	}
}

// records cuts the payload of the one TLS record b into records of at most size bytes.
func records(b []byte, size int) []byte {
	var all []byte
	for rest := b[5:]; len(rest) > 0; {
		part := rest[:min(size, len(rest))]
		rest = rest[len(part):]
		all = append(append(all, b[0], b[1], b[2], 0, byte(len(part))), part...)
	}
	return all
}

// proof reads r's proof out of an answer on a stream.
func proof(t *testing.T, form string, answer []byte) echo.Reply {
	t.Helper()
	if form == "dns" {
		at := bytes.Index(answer, []byte(`{"bottle"`))
		if at < 0 || int(binary.BigEndian.Uint16(answer)) != len(answer)-2 {
			return echo.Reply{}
		}
		answer = answer[at:]
		if len(answer) > 255 { // the length of the next string stands between
			answer = append(bytes.Clone(answer[:255]), answer[256:]...)
		}
	}
	reply, err := echo.ParseResponse(answer)
	if err != nil {
		t.Errorf("%q: %v", answer, err)
	}
	return reply
}

func TestCanaryKnowsANonceInOtherProtocols(t *testing.T) {
	n := echo.NewNonce()
	for name, msg := range openers(n) {
		t.Run(name, func(t *testing.T) {
			c := newCanary(t, "host", anyLoopback)
			answer := say(t, "tcp", c.Addr().String(), msg.sent)
			if msg.form != "dns" || msg.sent[len(msg.sent)-3] == typeTXT {
				if reply := proof(t, msg.form, answer); !c.Secret().Verify(n, reply) || reply.Local != c.Addr().String() {
					t.Errorf("reply %+v", reply)
				}
			}
			all := sightings(t, c)
			if len(all) != 1 || all[0].Nonce != n || all[0].Network != strings.Replace(msg.form, echoForm, "tcp", 1) {
				t.Errorf("sightings %+v, want one of %q in %q", all, n, msg.form)
			}
			if got := c.Strangers(time.Time{}); len(got) != 0 {
				t.Errorf("strangers %+v", got)
			}
		})
	}
}

// However far a message has come, it brings its own nonce or none.
func TestNoPartOfANonceIsOne(t *testing.T) {
	n := echo.NewNonce()
	for name, msg := range openers(n) {
		seen := false
		for i := range msg.sent {
			m := readStream(msg.sent[:i], false)
			if m.nonce != "" && (m.nonce != n || m.form != msg.form) || seen && m.nonce != n {
				t.Fatalf("%s: after %d bytes %+v", name, i, m)
			}
			if m.whole && m.nonce == "" {
				t.Fatalf("%s: whole after %d bytes", name, i)
			}
			seen = m.nonce != ""
		}
		if m := readStream(msg.sent, false); m.nonce != n || !m.whole {
			t.Errorf("%s: all of it is %+v", name, m)
		}
	}
}

// More digits than a nonce has are none, however many of them have come.
func TestTheBeginningOfMoreIsNoNonce(t *testing.T) {
	more := string(echo.NewNonce()) + "0"
	for _, text := range []string{"GET " + echo.Path + more + " HTTP/1.0\r\n\r\n", "BOTTLE " + more + "\n", "GET /" + more + " HTTP/1.0\r\nHost: " + more + "\r\n\r\n"} {
		for i := range text {
			if m := readStream([]byte(text[:i]), false); m.nonce != "" {
				t.Errorf("after %q: %q", text[:i], m.nonce)
			}
		}
	}
}

// Whoever sends half a message and waits was there.
func TestCanarySeesUnfinishedMessages(t *testing.T) {
	for name, cut := range map[string]func([]byte) []byte{
		"HTTP, CONNECT": func(b []byte) []byte { return b[:bytes.IndexByte(b, '\n')+1] },
		"ClientHello":   func(b []byte) []byte { return b[:len(b)-1] },
	} {
		c := newCanary(t, "host", anyLoopback)
		n := echo.NewNonce()
		conn, err := net.Dial("tcp", c.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		sent := cut(openers(n)[name].sent)
		if readStream(sent, false).nonce == "" {
			t.Fatalf("%s: the nonce comes last", name)
		}
		if _, err := conn.Write(sent); err != nil {
			t.Fatal(err)
		}
		for start := time.Now(); len(sightings(t, c)) == 0; time.Sleep(time.Millisecond) {
			if time.Since(start) > visitLimit/2 {
				t.Fatalf("%s: not seen until the canary gave up on the rest", name)
			}
		}
		_ = conn.Close()
	}
}

func TestWhatBringsNoNonce(t *testing.T) {
	n := string(echo.NewNonce())
	long, short := clientHello(echo.Nonce(n+"a")), clientHello(echo.Nonce(n[1:]))
	for name, b := range map[string][]byte{
		"nothing": nil, "bare": []byte(n), "garbage": []byte("\x16\x03\x01\xff\xff\x01\xff\xff\xff" + n),
		"ClientHello, longer": long, "ClientHello, shorter": short,
		"an alert":               []byte("\x15\x03\x01\x00\x20" + n),
		"ServerHello":            append(append(bytes.Clone(long[:5]), 2), clientHello(echo.Nonce(n))[6:]...),
		"HTTP, header":           []byte("GET / HTTP/1.1\r\nHost: x\r\ntraceparent: 00-" + n + "-00\r\n\r\n"),
		"HTTP, body":             []byte("POST / HTTP/1.1\r\nHost: x\r\n\r\nHost: " + n),
		"HTTP, digest":           []byte("GET /blobs/sha256:" + n + n + " HTTP/1.1\r\nHost: x\r\n\r\n"),
		"HTTP, answer":           []byte("HTTP/1.1 200 " + n + "\r\n\r\n"),
		"HTTP/2":                 []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + n),
		"DoH, text":              []byte("GET /dns-query?dns=" + n[:31] + " HTTP/1.1\r\n\r\n"),
		"DNS, answer":            append([]byte{0, 60}, setByte(nameQuery(n+".a", typeA), 2, 0x81)...),
		"DNS, datagram over TCP": nameQuery(n+".a", typeA),
	} {
		for _, last := range []bool{false, true} {
			if m := readStream(b, last); m.nonce != "" {
				t.Errorf("%s: %+v", name, m)
			}
		}
		if m := readDatagram(b); m.nonce != "" && name != "DNS, datagram over TCP" {
			t.Errorf("%s as a datagram: %+v", name, m)
		}
	}
}

func setByte(b []byte, at int, to byte) []byte {
	b[at] = to
	return b
}

func TestUDPCanaryKnowsANonceInOtherProtocols(t *testing.T) {
	n := echo.NewNonce()
	for form, b := range map[string][]byte{"dns": dnsQuery(n, canaryZone, typeTXT), "quic": quicInitial(n), "udp": echo.Datagram(n)} {
		c := newUDPCanary(t, "host", anyLoopback)
		answer := hear(t, emit(t, c.Addr(), b))
		if form == "dns" {
			if !bytes.Equal(answer[:2], b[:2]) {
				t.Errorf("the answer to %x is %x", b[:2], answer[:2])
			}
			answer = append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)
		}
		if reply := proof(t, form, answer); !c.Secret().Verify(n, reply) {
			t.Errorf("%s: %+v", form, reply)
		}
		if all := sightings(t, c); len(all) != 1 || all[0].Nonce != n || all[0].Network != form {
			t.Errorf("%s: sightings %+v", form, all)
		}
	}
}

// What else a canary knows, the world knows too, at any destination.
func TestWorldKnowsANonceInOtherProtocols(t *testing.T) {
	w := newWorld(t)
	n := echo.NewNonce()
	say(t, "unix", w.Path(), append([]byte(tcpFlow), clientHello(n)...))
	quic := echo.NewNonce()
	tell(t, w, "udp", quicInitial(quic))
	all := sightings(t, w)
	if len(all) != 2 || all[0].Nonce != n || all[0].Network != "tcp" || all[1].Nonce != quic || all[1].Network != "udp" {
		t.Errorf("%+v", all)
	}
}

var errRead = errors.New("read")

// serverName is the name and the protocols that crypto/tls reads in a ClientHello.
func serverName(b []byte) (name string, alpn []string, err error) {
	config := &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name, alpn = h.ServerName, h.SupportedProtos
		return nil, errRead
	}}
	err = tls.Server(given{Reader: bytes.NewReader(b)}, config).HandshakeContext(context.Background())
	if errors.Is(err, errRead) {
		err = nil
	}
	return name, alpn, err
}

// given is a connection on which b was sent.
type given struct {
	net.Conn
	io.Reader
}

func (g given) Read(b []byte) (int, error)         { return g.Reader.Read(b) }
func (g given) Write(b []byte) (int, error)        { return len(b), nil }
func (g given) SetWriteDeadline(t time.Time) error { return nil }
func (g given) Close() error                       { return nil }

func TestClientHelloIsOne(t *testing.T) {
	n := echo.NewNonce()
	name, alpn, err := serverName(clientHello(n, "h2", "dot"))
	if err != nil || name != string(n)+".canary.bottle.internal" || strings.Join(alpn, " ") != "h2 dot" {
		t.Errorf("%q, %q, %v", name, alpn, err)
	}
}

// Whatever name crypto/tls reads, a canary reads.
func FuzzReadHello(f *testing.F) {
	hello := clientHello("0123456789abcdef0123456789abcdef", "h2")
	f.Add(hello)
	f.Add(records(hello, 5))
	f.Add(hello[:len(hello)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		n, whole, ok := readHello(b)
		if n != "" && (!ok || !n.Valid()) {
			t.Errorf("%q, %t", n, ok)
		}
		name, _, err := serverName(b)
		if err != nil {
			return
		}
		if want, has := findNonce(name); !ok || !whole || has && n == "" {
			t.Errorf("%q, %t, %t; crypto/tls reads %q with %q", n, whole, ok, name, want)
		}
	})
}

func FuzzReadMessages(f *testing.F) {
	n := echo.Nonce("0123456789abcdef0123456789abcdef")
	for _, msg := range openers(n) {
		f.Add(msg.sent)
	}
	f.Add(quicInitial(n))
	f.Add(dnsQuery(n, canaryZone, typeTXT))
	f.Fuzz(func(t *testing.T, b []byte) {
		early, late, datagram := readStream(b, false), readStream(b, true), readDatagram(b)
		for _, m := range []message{early, late, datagram} {
			if m.nonce == "" {
				continue
			}
			r := echo.NewReply(echo.NewSecret(), "x", m.nonce, "", "")
			if !m.nonce.Valid() || m.form == "" || len(m.proveStream(&visit{}, echo.NewSecret())) == 0 || len(m.answerDatagram(r)) == 0 {
				t.Errorf("%+v", m)
			}
		}
		if early.nonce != "" && early.nonce != late.nonce {
			t.Errorf("early %q, late %q", early.nonce, late.nonce)
		}
	})
}

func TestQUICInitialIsPlausible(t *testing.T) {
	n := echo.NewNonce()
	b := quicInitial(n)
	c := cursor(b)
	first := c.uint(1)
	version := c.uint(4)
	dcid, _ := c.vector(1)
	scid, _ := c.vector(1)
	token := string(c.take(c.varint()))
	if rest := c.varint(); len(b) != quicMinimum || first>>4 != 0xc || version != 1 || len(dcid) != 8 || len(scid) != 8 || token != string(n) || rest != len(c) {
		t.Errorf("%d bytes: %x %d %x %x %q, %d of %d", len(b), first, version, dcid, scid, token, rest, len(c))
	}
	for name, b := range map[string][]byte{
		"version 2":  setByte(quicInitial(n), 4, 2),
		"handshake":  setByte(quicInitial(n), 0, 0xe0),
		"short form": setByte(quicInitial(n), 0, 0x40),
		"a long id":  setByte(quicInitial(n), 5, quicMaxID+1),
		"cut":        quicInitial(n)[:40],
	} {
		if n, _ := readQUIC(b); n != "" {
			t.Errorf("%s: %q", name, n)
		}
	}
	if n, ok := readQUIC(bytes.Replace(b, []byte(n), []byte(strings.Repeat("g", len(n))), 1)); !ok || n != "" {
		t.Errorf("an Initial with another token: %q, %t", n, ok)
	}
}
