package probes

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

func newMetadataCanary(t *testing.T) *MetadataCanary {
	t.Helper()
	c, err := NewMetadataCanary("metadata", anyLoopback)
	needs(t, anyLoopback.Addr(), err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestMetadataCanaryTellsItsSecret(t *testing.T) {
	c := newMetadataCanary(t)
	for i, d := range documents {
		n := echo.NewNonce()
		answer := say(t, "tcp", c.Addr().String(), d.request(n))
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 OK\r\n")) || bytes.Contains(answer, []byte("%!")) || bytes.Contains(answer, []byte("%s")) {
			t.Errorf("%s: %q", d.path, answer)
		}
		if c.FoundIn(answer) != strings.Contains(d.body, "%") {
			t.Errorf("%s: %q", d.path, answer)
		}
		if all := sightings(t, c); len(all) != i+1 || all[i].Nonce != n || all[i].Network != "http" || all[i].Name != "metadata" {
			t.Errorf("%s: %+v", d.path, all)
		}
	}
	if c.FoundIn([]byte(c.metadata.text[:len(c.metadata.text)-1])) || c.FoundIn([]byte(DecoyPrefix)) || c.FoundIn(nil) {
		t.Error("a part of the secret is taken for all of it")
	}
	if newMetadataCanary(t).FoundIn([]byte(c.metadata.text)) {
		t.Error("two runs have one secret")
	}
}

// A service that is strict about headers tells nothing to who has them wrong, and that one came too.
func TestMetadataCanaryIsAsStrictAsClouds(t *testing.T) {
	c := newMetadataCanary(t)
	token := []byte("PUT /latest/api/token HTTP/1.1\r\nHost: x\r\n" + awsHeader + "-ttl-seconds: 60\r\n\r\n")
	answer := say(t, "tcp", c.Addr().String(), token)
	_, got, _ := strings.Cut(string(answer), "\r\n\r\n")
	if got != c.metadata.token {
		t.Errorf("%q", answer)
	}
	for text, want := range map[string]string{
		"GET /latest/user-data HTTP/1.1\r\nHost: x\r\n" + awsHeader + ": " + got + "\r\n\r\n": "200",
		"GET /latest/user-data HTTP/1.1\r\nHost: x\r\n" + awsHeader + ": wrong\r\n\r\n":       "401",
		"GET /latest/user-data HTTP/1.0\r\n\r\n":                                              "200",
		"POST /latest/user-data HTTP/1.0\r\n\r\n":                                             "405",
		"GET /latest/api/token HTTP/1.0\r\n\r\n":                                              "405",
		"PUT /latest/api/token HTTP/1.0\r\n\r\n":                                              "400",
		"GET /computeMetadata/v1/project/ HTTP/1.1\r\nHost: x\r\n\r\n":                        "403",
		"GET http://169.254.169.254/metadata/instance HTTP/1.1\r\nHost: x\r\n\r\n":            "403",
		"GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\nHost: x\r\n\r\n":             "200",
		"GET /latest/user-datas HTTP/1.1\r\nHost: x\r\n\r\n":                                  "",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                                                   "",
	} {
		answer := string(say(t, "tcp", c.Addr().String(), []byte(text)))
		if want == "" && answer != "" || !strings.HasPrefix(answer, "HTTP/1.1 "+want) && want != "" || c.FoundIn([]byte(answer)) != (want == "200") {
			t.Errorf("%q: %q", text, answer)
		}
	}
	if all := sightings(t, c); len(all) != 0 {
		t.Errorf("sightings %+v", all)
	}
	if got := c.Strangers(time.Time{}); len(got) != 12 {
		t.Errorf("%d strangers, want 12", len(got))
	}
}

func TestMetadataCanaryIsACanary(t *testing.T) {
	c := newMetadataCanary(t)
	n := echo.NewNonce()
	reply, err := echo.ParseResponse(say(t, "tcp", c.Addr().String(), echo.Request(n)))
	if err != nil || !c.Secret().Verify(n, reply) {
		t.Errorf("%+v, %v", reply, err)
	}
	if err := c.Target().Alive(t.Context()); err != nil {
		t.Error(err)
	}
	if all := sightings(t, c); len(all) != 3 {
		t.Errorf("sightings %+v", all)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Alive(t.Context()); err == nil {
		t.Error("a closed canary is alive")
	}
}

// A canary whose service tells nothing is not alive, though it echoes.
func TestMetadataCanaryAliveWantsTheSecret(t *testing.T) {
	c, mute := newMetadataCanary(t), newCanary(t, "host", anyLoopback)
	c.addr = mute.addr
	if err := c.Alive(t.Context()); err == nil {
		t.Error("alive without a secret")
	}
}

// In the world, metadata is where clouds have it, and nowhere else.
func TestWorldTellsMetadata(t *testing.T) {
	w := newWorld(t)
	for at, want := range map[string]bool{
		"169.254.169.254:80": true, "[fd00:ec2::254]:80": true, "[64:ff9b::a9fe:a9fe]:80": true, "[::ffff:169.254.169.254]:80": true,
		"169.254.169.254:81": false, "198.51.100.77:80": false,
	} {
		n := echo.NewNonce()
		head := `{"network":"tcp","destination":"` + at + `","source":"100.96.0.2:4711","machine":"m"}` + "\n"
		answer := say(t, "unix", w.Path(), append([]byte(head), documents[0].request(n)...))
		if w.MetadataIn(answer) != want || len(answer) == 0 {
			t.Errorf("%s: %q", at, answer)
		}
		if reply, err := echo.ParseResponse(say(t, "unix", w.Path(), append([]byte(head), echo.Request(n)...))); err != nil || !w.Secret().Verify(n, reply) {
			t.Errorf("%s: %+v, %v", at, reply, err)
		}
		if got := w.Strangers(netip.MustParseAddrPort(at), time.Time{}); len(got) != 0 {
			t.Errorf("%s: strangers %+v", at, got)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	m := newMetadata()
	for _, d := range documents {
		f.Add(d.request("0123456789abcdef0123456789abcdef"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if answer := m.answer(b); answer != nil && !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) {
			t.Errorf("%q is answered %q", b, answer)
		}
	})
}
