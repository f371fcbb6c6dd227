package agent

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
	"bottle.internal/internal/porttest"
)

// listener is a TCP listener on address whose connections are handed to serve; nil leaves them in the backlog.
func listener(t *testing.T, address string, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("this host has no %s: %v", address, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if serve != nil {
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer func() { _ = conn.Close() }()
					serve(conn)
				}()
			}
		}()
	}
	return netip.MustParseAddrPort(l.Addr().String())
}

func readRequest(conn net.Conn) echo.Nonce {
	buf := make([]byte, 512)
	n, _ := conn.Read(buf)
	nonce, _ := echo.ParseRequest(buf[:n])
	return nonce
}

func answer(conn net.Conn) {
	_, _ = conn.Write(echo.Response(echo.NewReply(echo.NewSecret(), "test", readRequest(conn), "", "")))
}

// freePort is one to listen at.
func freePort(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("this host has no %s: %v", address, err)
	}
	defer func() { _ = l.Close() }()
	return netip.MustParseAddrPort(l.Addr().String())
}

func closedPort(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	return porttest.Closed(t, netip.MustParseAddrPort(address).Addr())
}

// fullBacklog is a listener that takes no more connections: their SYNs are dropped.
func fullBacklog(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
	for range 4 {
		d := net.Dialer{Timeout: 50 * time.Millisecond}
		conn, err := d.Dial("tcp", addr.String())
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the backlog does not fill up")
	return addr
}

func abort(conn net.Conn) {
	readRequest(conn)
	_ = conn.(*net.TCPConn).SetLinger(0)
}

// streamCases are what may be at the other end of a stream, and how a dial of it ends.
var streamCases = []struct {
	name  string
	addr  func(t *testing.T) netip.AddrPort
	stage Stage
	errno string
	want  Observation
	waits bool // until the budget is gone
}{
	{"echo", func(t *testing.T) netip.AddrPort { return listener(t, "127.0.0.1:0", answer) }, StageDone, "", Reachable, false},
	{"echo over IPv6", func(t *testing.T) netip.AddrPort { return listener(t, "[::1]:0", answer) }, StageDone, "", Reachable, false},
	{"echo, then a reset instead of a FIN", func(t *testing.T) netip.AddrPort {
		return listener(t, "127.0.0.1:0", func(c net.Conn) { answer(c); _ = c.(*net.TCPConn).SetLinger(0) })
	}, StageDone, "", Reachable, false},
	{"echo in pieces", func(t *testing.T) netip.AddrPort {
		return listener(t, "127.0.0.1:0", func(c net.Conn) {
			b := echo.Response(echo.NewReply(echo.NewSecret(), "test", readRequest(c), "", ""))
			for _, part := range [][]byte{b[:7], b[7:100], b[100:]} {
				_, _ = c.Write(part)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}, StageDone, "", Reachable, false},
	{"echo of another nonce", func(t *testing.T) netip.AddrPort {
		return listener(t, "127.0.0.1:0", func(c net.Conn) {
			readRequest(c)
			_, _ = c.Write(echo.Response(echo.NewReply(echo.NewSecret(), "test", echo.NewNonce(), "", "")))
		})
	}, StageDone, "", Intercepted, false},
	{"closed port", func(t *testing.T) netip.AddrPort { return closedPort(t, "127.0.0.1:0") }, StageConnect, "ECONNREFUSED", Refused, false},
	{"closed port over IPv6", func(t *testing.T) netip.AddrPort { return closedPort(t, "[::1]:0") }, StageConnect, "ECONNREFUSED", Refused, false},
	{"mapped address", func(t *testing.T) netip.AddrPort {
		p := closedPort(t, "127.0.0.1:0")
		return netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), p.Port())
	}, StageConnect, "ECONNREFUSED", Refused, false},
	{"accept, then silence", func(t *testing.T) netip.AddrPort { return listener(t, "127.0.0.1:0", nil) }, StageRead, "", HandshakeOnly, true},
	{"accept, then close", func(t *testing.T) netip.AddrPort {
		return listener(t, "127.0.0.1:0", func(c net.Conn) { readRequest(c) })
	}, StageDone, "", HandshakeOnly, false},
	{"accept, then reset", func(t *testing.T) netip.AddrPort { return listener(t, "127.0.0.1:0", abort) }, StageRead, "ECONNRESET", Reset, false},
	{"foreign banner", func(t *testing.T) netip.AddrPort {
		return listener(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-foreign\r\n"); readRequest(c) })
	}, StageDone, "", Intercepted, false},
	{"foreign banner, then silence", func(t *testing.T) netip.AddrPort {
		return listener(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.WriteString(c, "220 mail\r\n"); time.Sleep(time.Second) })
	}, StageDone, "", Intercepted, false},
	{"endless answer", func(t *testing.T) netip.AddrPort {
		return listener(t, "127.0.0.1:0", func(c net.Conn) { _, _ = c.Write(make([]byte, 1<<20)) })
	}, StageDone, "", Intercepted, false},
	{"full backlog", fullBacklog, StageConnect, "", Filtered, true},
}

func TestDial(t *testing.T) {
	const budget = 250 * time.Millisecond
	for _, c := range streamCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := Attempt{ID: "x", Network: TCP4, Addr: c.addr(t), Nonce: echo.NewNonce(), BudgetMS: int(budget.Milliseconds())}
			start := time.Now()
			r := dial(a, start)
			took := time.Since(start)
			if r.Stage != c.stage || r.Errno != c.errno || r.Observation != c.want {
				t.Errorf("stage %q, errno %q, %q; want %q, %q, %q", r.Stage, r.Errno, r.Observation, c.stage, c.errno, c.want)
			}
			if r.ID != a.ID || r.Nonce != a.Nonce || r.Observation != Observe(a, r) || len(r.Reply) > echo.MaxReply {
				t.Errorf("the result does not go with the attempt: %+v", r)
			}
			if waited := took >= budget; waited != c.waits || took > budget+2*time.Second {
				t.Errorf("took %s of %s, waits for the budget: %t, want %t", took, budget, waited, c.waits)
			}
			if us := took.Microseconds(); r.ElapsedUS > us || r.ConnectUS > r.ElapsedUS || r.ElapsedUS <= 0 {
				t.Errorf("%d µs to connect, %d µs in all, measured from outside %d µs", r.ConnectUS, r.ElapsedUS, us)
			}
		})
	}
}

// The errnos that a loopback cannot give are read from a table.
func TestObserveErrno(t *testing.T) {
	for _, c := range []struct {
		stage Stage
		errno string
		want  Observation
	}{
		{StageConnect, "EACCES", Denied},
		{StageConnect, "EPERM", Denied},
		{StageConnect, "ENETUNREACH", Unreachable},
		{StageConnect, "EHOSTUNREACH", Unreachable},
		{StageConnect, "EADDRNOTAVAIL", Unreachable},
		{StageConnect, "ETIMEDOUT", Filtered},
		{StageConnect, "ENODATA", Refused},
		{StageConnect, "ECONNRESET", Reset},
		{StageConnect, "EINVAL", ProbeError},
		{StageSocket, "EAFNOSUPPORT", Unsupported},
		{StageSocket, "ENOTSUP", Unsupported},
		{StageSocket, "EMFILE", ProbeError},
		{StageSocket, "EACCES", Denied},
		{StageSocket, "", ProbeError},
		{StageWrite, "EPIPE", Reset},
		{StageWrite, "", HandshakeOnly},
		{StageRead, "ETIMEDOUT", HandshakeOnly},
		{StageRead, "EHOSTUNREACH", Unreachable},
		{StageRead, "EIO", ProbeError},
		{StageUnfinished, "", ProbeError},
		{StageSkipped, "", ProbeError},
		{"", "", ProbeError},
		{"finished", "", ProbeError},
	} {
		if got := Observe(Attempt{Network: TCP4}, Result{Stage: c.stage, Errno: c.errno}); got != c.want {
			t.Errorf("%s %q at %s: %q, want %q", c.stage, c.errno, c.stage, got, c.want)
		}
	}
}

func TestErrnoOf(t *testing.T) {
	for err, want := range map[error]string{nil: "", errBudget: "", unix.EACCES: "EACCES", unix.Errno(4095): "E4095"} {
		if got := errnoOf(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
