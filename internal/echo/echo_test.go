package echo

import (
	"errors"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	s, n := NewSecret(), NewNonce()
	for name, req := range map[string][]byte{"stream": Request(n), "datagram": Datagram(n)} {
		got, ok := ParseRequest(req)
		if !ok || got != n {
			t.Fatalf("%s: ParseRequest(%q) = %q, %v", name, req, got, ok)
		}
	}
	want := NewReply(s, "canary", n, "10.0.0.1:5", "10.0.0.2:6")
	for name, answer := range map[string][]byte{"stream": Response(want), "datagram": Line(want)} {
		got, err := ParseResponse(answer)
		if err != nil || got != want {
			t.Fatalf("%s: ParseResponse(%q) = %+v, %v", name, answer, got, err)
		}
		if !s.Verify(n, got) {
			t.Errorf("%s: the canary's own answer does not verify", name)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	s, n := NewSecret(), NewNonce()
	good := NewReply(s, "canary", n, "", "")
	other := good
	other.Nonce = NewNonce()
	forged := good
	forged.Proof = NewSecret().Proof(n)
	for name, tc := range map[string]struct {
		secret Secret
		nonce  Nonce
		reply  Reply
	}{
		"another nonce":   {s, n, other},
		"replayed":        {s, NewNonce(), good},
		"forged":          {s, n, forged},
		"no proof":        {s, n, Reply{Bottle: "echo", Nonce: n}},
		"the zero secret": {Secret{}, n, NewReply(Secret{}, "canary", n, "", "")},
	} {
		if tc.secret.Verify(tc.nonce, tc.reply) {
			t.Errorf("%s: verified", name)
		}
	}
}

func TestForeignAnswers(t *testing.T) {
	for _, b := range []string{"", "HTTP/1.1 200 OK\r\n\r\n<html>blocked</html>", "HTTP/1.0 200 OK", "{}", `{"bottle":"echo","nonce":"short"}`, "220 ftp"} {
		if r, err := ParseResponse([]byte(b)); !errors.Is(err, ErrForeign) {
			t.Errorf("ParseResponse(%q) = %+v, %v; want ErrForeign", b, r, err)
		}
	}
	for _, b := range []string{"", "GET / HTTP/1.0\r\n", "BOTTLE x", "GET " + Path + "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ HTTP/1.0"} {
		if n, ok := ParseRequest([]byte(b)); ok {
			t.Errorf("ParseRequest(%q) = %q, true", b, n)
		}
	}
}

func FuzzParseResponse(f *testing.F) {
	f.Add(Response(NewReply(NewSecret(), "c", NewNonce(), "p", "l")))
	f.Add([]byte("HTTP/1.0 200 OK\r\n\r\n{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseResponse(b); err == nil && !r.Nonce.Valid() {
			t.Errorf("accepted an invalid nonce %q", r.Nonce)
		}
	})
}
