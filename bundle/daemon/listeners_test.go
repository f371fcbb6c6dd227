package daemon

import (
	"net"
	"os"
	"testing"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

const testNonce = echo.Nonce("0123456789abcdef0123456789abcdef")

func TestListenersSeesOurs(t *testing.T) {
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Skipf("needs Linux's /proc: %v", err)
	}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	ls, err := listeners()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ network, addr string }{{"tcp", tcp.Addr().String()}, {"udp", udp.LocalAddr().String()}} {
		if !holds(ls, want.network, want.addr, os.Getpid()) {
			t.Errorf("%s %s of pid %d is not among %v", want.network, want.addr, os.Getpid(), ls)
		}
	}
}

func holds(ls []wire.Listener, network, addr string, pid int) bool {
	for _, l := range ls {
		if l.Network == network && l.Addr.String() == addr && l.PID == pid && l.Command != "" {
			return true
		}
	}
	return false
}
