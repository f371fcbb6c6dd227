package daemon

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

// The real daemons under the real PID 1, each in a process of its own.
func TestBothDaemonsForReal(t *testing.T) {
	proxy, egress, secret := freeAddr(t), freeAddr(t), echo.NewSecret()
	r := start(t, []string{
		"BOTTLE_BUNDLE_DAEMONS=proxy, egress", "BOTTLE_ECHO_SECRET=" + secret.String(), "UNRELATED_TOKEN=s3cret",
		"BOTTLE_PROXY_LISTEN=" + proxy.String(), "BOTTLE_EGRESS_LISTEN=" + egress.String(), "BOTTLE_PROXY_UPSTREAM=http://" + egress.String(),
	}, "bottle-bundle")
	r.waitLine("ready: proxy,egress")
	for _, at := range []netip.AddrPort{proxy, egress} {
		n := echo.NewNonce()
		if reply, err := echo.Ask(t.Context(), at, n); err != nil || !secret.Verify(n, reply) {
			t.Errorf("%s: %+v, %v", at, reply, err)
		}
		r.waitLine(string(n))
	}
	for _, l := range strings.Split(r.log(), "\n") {
		if !strings.HasPrefix(l, "[proxy] {") && !strings.HasPrefix(l, "[egress] {") && l != "ready: proxy,egress" {
			t.Errorf("a line without its daemon: %q", l)
		}
	}
	noForeignEnv(t, "UNRELATED_TOKEN", proxy, egress)
}

// noForeignEnv fails if a process that listens on one of at has key in its environment.
func noForeignEnv(t *testing.T, key string, at ...netip.AddrPort) {
	t.Helper()
	ls, err := listeners()
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	seen := 0
	for _, l := range ls {
		for _, a := range at {
			if l.Addr != a {
				continue
			}
			seen++
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", l.PID)); bytes.Contains(b, []byte(key)) {
				t.Errorf("%s is in the environment of %s", key, l.Command)
			}
		}
	}
	if seen != len(at) {
		t.Errorf("%d of %d daemons found in %v", seen, len(at), ls)
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	for _, env := range []string{
		"BOTTLE_ECHO_SECRET=abc", "BOTTLE_PROXY_ALLOW=http://x", "BOTTLE_PROXY_LISTEN=8888",
		"BOTTLE_EGRESS_LISTEN=localhost:9099", "BOTTLE_PROXY_UPSTREAM=https://127.0.0.1:9099", "BOTTLE_PROXY_UPSTREAM=127.0.0.1:9099",
	} {
		key, value, _ := strings.Cut(env, "=")
		_, err := ParseSettings(func(k string) string {
			if k == key {
				return value
			}
			return ""
		})
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: error %v, want one that names the variable", env, err)
		}
	}
	_, err := ParseSettings(func(k string) string {
		if k == wire.EnvSecret {
			return "deadbeef"
		}
		return ""
	})
	if err == nil || strings.Contains(err.Error(), "deadbeef") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestCanaryAndDial(t *testing.T) {
	secret := echo.NewSecret()
	stdin, closeStdin := io.Pipe()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- canary(t.Context(), []string{"--listen", "127.0.0.1:0"}, func(string) string { return secret.String() }, stdin, in)
		_ = in.Close()
	}()
	lines := bufio.NewScanner(out)
	lines.Scan()
	var up wire.CanaryUp
	if err := json.Unmarshal(lines.Bytes(), &up); err != nil || up.Listen.Port() == 0 {
		t.Fatalf("first line %q: %v", lines.Text(), err)
	}
	n := echo.NewNonce()
	var printed bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- dial(t.Context(), []string{up.Listen.String(), string(n)}, &printed) }()
	lines.Scan()
	var s echo.Sighting
	if err := json.Unmarshal(lines.Bytes(), &s); err != nil || s.Nonce != n || s.Name != "canary" {
		t.Errorf("sighting %q: %v", lines.Text(), err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r, err := echo.ParseResponse(printed.Bytes()); err != nil || !secret.Verify(n, r) || r.Peer != s.Peer {
		t.Errorf("dial printed %q: %v", printed.String(), err)
	}
	_ = closeStdin.Close()
	if err := <-ended; err != nil {
		t.Errorf("the canary ended with %v", err)
	}
	if err := dial(t.Context(), []string{up.Listen.String(), string(n)}, io.Discard); err == nil {
		t.Error("dial succeeds although nothing listens any more")
	}
}

func TestExitCodes(t *testing.T) {
	tests := []struct {
		args []string
		want int
	}{
		{[]string{"listeners"}, exitOK},
		{[]string{"listeners", "-o", "json"}, exitOK},
		{[]string{"listeners", "-o", "xml"}, exitUsage},
		{[]string{"dial"}, exitUsage},
		{[]string{"dial", "127.0.0.1"}, exitUsage},
		{[]string{"dial", "127.0.0.1", string(testNonce)}, exitUsage},
		{[]string{"listeners", "x"}, exitUsage},
		{[]string{"dial", "127.0.0.1:1", "short"}, exitUsage},
		{[]string{"dial", freeAddr(t).String(), string(testNonce)}, exitFailed},
		{[]string{"canary", "--listen", "x"}, exitUsage},
		{[]string{"daemon"}, exitUsage},
		{[]string{"daemon", "nosuch"}, exitUsage},
		{[]string{"nosuch"}, exitUsage},
	}
	for _, tt := range tests {
		var stderr bytes.Buffer
		got := Main(tt.args, func(string) string { return "" }, strings.NewReader(""), io.Discard, &stderr)
		if got != tt.want || (got == exitOK) != (stderr.Len() == 0) {
			t.Errorf("%q: exit code %d, stderr %q; want %d", tt.args, got, stderr.String(), tt.want)
		}
	}
}

// A foreign program on the port is no echo, whatever it answers.
func TestDialForeign(t *testing.T) {
	at := origin(t)
	if err := dial(t.Context(), []string{at, string(testNonce)}, io.Discard); err == nil {
		t.Error("taken for an echo")
	}
}
