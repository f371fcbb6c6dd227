package probes

import (
	"errors"
	"syscall"
	"testing"
)

// What is not this host's, and in none of its networks, is not sent for.
func TestNearby(t *testing.T) {
	conn, err := nearby().DialContext(t.Context(), "udp", "198.51.100.77:9")
	if err == nil {
		_ = conn.Close()
		t.Fatal("a route was taken")
	}
	if !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Error(err)
	}
	conn, err = nearby().DialContext(t.Context(), "udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
