package probes

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"testing"
	"time"

	"bottle.internal/internal/echo"
)

func newWorld(t *testing.T) *World {
	t.Helper()
	w, err := NewWorld()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

const tcpFlow = `{"network":"tcp","destination":"198.51.100.77:443","source":"100.96.0.2:4711","machine":"bottle-x"}` + "\n"

func TestWorldEchoesAtAnyDestination(t *testing.T) {
	w := newWorld(t)
	n := echo.NewNonce()
	reply, err := echo.ParseResponse(say(t, "unix", w.Path(), append([]byte(tcpFlow), echo.Request(n)...)))
	if err != nil || !w.Secret().Verify(n, reply) {
		t.Fatalf("%+v, %v", reply, err)
	}
	all := sightings(t, w)
	if len(all) != 1 || all[0].Nonce != n || all[0].Local != testNet.String() || all[0].Peer != "100.96.0.2:4711" || all[0].Network != "tcp" {
		t.Errorf("%+v", all)
	}
}

func TestWorldDatagrams(t *testing.T) {
	w := newWorld(t)
	conn, err := net.Dial("unix", w.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	header, err := json.Marshal(flow{Network: "udp", Destination: testNet, Source: loopback})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(append(header, '\n')); err != nil {
		t.Fatal(err)
	}
	first, second := echo.NewNonce(), echo.NewNonce()
	for _, b := range [][]byte{echo.Datagram(first), []byte("no nonce"), {}, echo.Datagram(second)} {
		if err := writeFrame(conn, b); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []echo.Nonce{first, second} {
		b, err := readFrame(conn)
		if err != nil {
			t.Fatal(err)
		}
		if reply, err := echo.ParseResponse(b); err != nil || !w.Secret().Verify(n, reply) {
			t.Errorf("%q: %v", b, err)
		}
	}
	all := sightings(t, w)
	if len(all) != 2 || all[0].Nonce != first || all[1].Nonce != second || all[1].Network != "udp" {
		t.Errorf("%+v", all)
	}
}

// A flow that brings no nonce got out all the same.
func TestWorldLogsStrangers(t *testing.T) {
	w := newWorld(t)
	before := time.Now()
	say(t, "unix", w.Path(), []byte(tcpFlow))
	say(t, "unix", w.Path(), append([]byte(tcpFlow), "HELO\n"...))
	if got := w.Strangers(testNet, before); len(got) != 2 {
		t.Errorf("strangers %+v, want 2", got)
	}
	if got := w.Strangers(loopback, before); len(got) != 0 {
		t.Errorf("strangers at another destination: %+v", got)
	}
}

func TestWorldRefusesNoFlow(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{"", "\n", "{}\n", "GET / HTTP/1.0\r\n\r\n", `{"network":"tcp","destination":"nowhere"}` + "\n"} {
		if got := say(t, "unix", w.Path(), append([]byte(text), echo.Request(echo.NewNonce())...)); len(got) != 0 {
			t.Errorf("%q is answered %q", text, got)
		}
	}
	if got := sightings(t, w); len(got) != 0 {
		t.Errorf("sightings %+v", got)
	}
	long := bytes.Repeat([]byte("x"), 2*maxHeader)
	conn, err := net.Dial("unix", w.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(long)
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("a header without an end is listened to: %v", err)
	}
}

func TestWorldAlive(t *testing.T) {
	w := newWorld(t)
	if err := w.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Alive(t.Context()); err == nil {
		t.Error("a closed world is alive")
	}
	if _, err := os.Stat(w.Path()); !os.IsNotExist(err) {
		t.Errorf("its socket is left behind: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error("closing twice:", err)
	}
}
