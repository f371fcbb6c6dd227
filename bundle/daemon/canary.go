package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"bottle.internal/bundle/internal/wire"
	"bottle.internal/internal/echo"
)

// canary is `bottle-bundle canary [--listen ip:port]`: it prints where it listens and then one sighting per line, until
// standard input ends.
func canary(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout io.Writer) error {
	flags := newFlags("canary")
	listen := flags.String("listen", "0.0.0.0:0", "ip:port, port 0 = a free one")
	if err := noArgs(flags, args); err != nil {
		return err
	}
	at, err := netip.ParseAddrPort(*listen)
	if err != nil {
		return usagef("canary: %q is not ip:port", *listen)
	}
	var secret echo.Secret
	if v := getenv(wire.EnvSecret); v != "" {
		if secret, err = echo.ParseSecret(v); err != nil {
			return usagef("%s: %v", wire.EnvSecret, err)
		}
	}
	l, err := listenTCP(at)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()
	up, _ := json.Marshal(wire.CanaryUp{Listen: addrPortOf(l.Addr())})
	if _, err := stdout.Write(append(up, '\n')); err != nil {
		return fmt.Errorf("canary: %w", err)
	}
	return answerAll(l, secret, newJournal(stdout, wire.Canary))
}

// keepCanary is `bottle-bundle daemon canary`: a canary that ends with PID 1.
func keepCanary(ctx context.Context, s Settings, j *journal) error {
	if !s.CanaryListen.IsValid() {
		return usagef("%s says nothing", wire.EnvCanaryListen)
	}
	l, err := listenTCP(s.CanaryListen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	return answerAll(l, s.Secret, j)
}

// answerAll echoes on l until it is closed.
func answerAll(l net.Listener, secret echo.Secret, j *journal) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			time.Sleep(readyPoll) // out of descriptors, say: a canary that ends would look like silence
			continue
		}
		go answer(c, secret, j)
	}
}

// answer echoes one connection's nonce. Whoever asks for something else gets nothing.
func answer(c net.Conn, secret echo.Secret, j *journal) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(headerTimeout))
	n, ok := readNonce(c)
	if !ok {
		return
	}
	peer, local := c.RemoteAddr().String(), c.LocalAddr().String()
	j.write(echo.Sighting{Name: j.daemon, Network: "tcp", Nonce: n, Peer: peer, Local: local, Time: time.Now().UTC()})
	_, _ = c.Write(echo.Response(echo.NewReply(secret, j.daemon, n, peer, local)))
}

// readNonce reads the request's head as far as it goes: its first line has the nonce, but closing with unread input would
// turn the answer into a reset.
func readNonce(c io.Reader) (echo.Nonce, bool) {
	buf := make([]byte, 0, 1024)
	for len(buf) < cap(buf) && !headEnded(buf) {
		n, err := c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			break
		}
	}
	return echo.ParseRequest(buf)
}

func headEnded(b []byte) bool {
	s := string(b)
	return len(s) >= 4 && (s[len(s)-4:] == "\r\n\r\n" || s[len(s)-2:] == "\n\n")
}

func addrPortOf(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
