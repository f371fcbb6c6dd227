//go:build linux

package vnet

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guestArg makes the test binary a guest: a process in namespaces of its own
// that prepares its network and then does what it is asked on descriptor 3.
const guestArg = "vnet-guest"

// An order is one thing for the guest to do.
type order struct {
	Op      string
	Network string
	Addr    string
	Send    string
	From    string // local address of a dial; any if empty
	Bytes   int
	Times   int
	Wait    time.Duration // for an answer; zero is two seconds
}

// An outcome is what came of it. Errno is that of the first step that failed.
type outcome struct {
	Step    string // the step that failed: connect, write, read
	Errno   syscall.Errno
	Problem string // any other failure
	Elapsed time.Duration
	Data    string
	Addr    string
}

func (o outcome) String() string {
	switch {
	case o.Errno != 0:
		return fmt.Sprintf("%s: %s", o.Step, unix.ErrnoName(o.Errno))
	case o.Problem != "":
		return o.Step + ": " + o.Problem
	default:
		return o.Data
	}
}

func guestMain() {
	ctl := os.NewFile(3, "control")
	in := json.NewDecoder(ctl)
	out := json.NewEncoder(ctl)
	var cfg Config
	if err := in.Decode(&cfg); err != nil {
		return
	}
	if err := handOver(cfg); err != nil {
		return
	}
	g := &guest{listeners: make(map[string]io.Closer)}
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return
		}
		if err := out.Encode(g.do(o)); err != nil {
			return
		}
	}
}

// handOver prepares the network and passes its descriptors on. The supervisor
// holds the only ones then, as it does in a machine.
func handOver(cfg Config) error {
	files, err := prepareIfAny(cfg)
	defer func() { closeFiles(files) }()
	var (
		o   outcome
		fds []int
	)
	for _, f := range files {
		fd, dupErr := dupFile(f)
		err = errors.Join(err, dupErr)
		fds = append(fds, fd)
		defer unix.Close(fd)
	}
	if err != nil {
		o.Problem = err.Error()
	}
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return unix.Sendmsg(3, append(line, '\n'), unix.UnixRights(fds...), nil, 0)
}

// prepareIfAny prepares no network for a guest that only lends its namespace.
func prepareIfAny(cfg Config) ([]*os.File, error) {
	if cfg.Backend == "" {
		return []*os.File{os.Stdin}, nil
	}
	return Prepare(cfg)
}

type guest struct{ listeners map[string]io.Closer }

func (g *guest) do(o order) outcome {
	if o.Wait == 0 {
		o.Wait = 2 * time.Second
	}
	if o.Network == "" {
		o.Network = "tcp"
	}
	switch o.Op {
	case "dial":
		return dialOnce(o)
	case "many":
		return dialMany(o)
	case "sendto":
		return sendTo(o)
	case "transfer":
		return transfer(o)
	case "listen":
		return g.listen(o)
	case "listen-dial":
		l := g.listen(o)
		if l.Problem != "" {
			return l
		}
		o.Addr = l.Addr
		r := dialOnce(o)
		r.Addr = l.Addr
		return r
	case "close":
		g.listeners[o.Addr].Close()
		return outcome{}
	case "one-shot":
		return oneShot(o)
	case "ping":
		return ping(o)
	case "interfaces":
		links, err := net.Interfaces()
		if err != nil {
			return failed("interfaces", err)
		}
		var names []string
		for _, l := range links {
			names = append(names, l.Name)
		}
		return outcome{Data: strings.Join(names, " ")}
	case "locate":
		return locate()
	case "hold":
		return g.holdMany(o)
	}
	return outcome{Problem: "unknown order " + o.Op}
}

func failed(step string, err error) outcome {
	r := outcome{Step: step}
	if !errors.As(err, &r.Errno) {
		r.Problem = err.Error()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.Problem = "timeout"
		}
	}
	return r
}

// dialOnce connects, sends a line and wants one back.
func dialOnce(o order) (r outcome) {
	begin := time.Now()
	dialer := &net.Dialer{Timeout: o.Wait, KeepAlive: -1}
	if o.From != "" {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(o.From))
	}
	c, err := dialer.Dial(o.Network, o.Addr)
	elapsed := time.Since(begin)
	defer func() { r.Elapsed = elapsed }()
	if err != nil {
		return failed("connect", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(o.Wait))
	if _, err := io.WriteString(c, o.Send+"\n"); err != nil {
		return failed("write", err)
	}
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil && line == "" {
		return failed("read", err)
	}
	if o.From != "" { // let the other side end first, so that the port is free
		_, _ = io.Copy(io.Discard, in)
	}
	return outcome{Data: strings.TrimSpace(line)}
}

func dialMany(o order) outcome {
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		said = make(map[string]int)
	)
	for i := range o.Times {
		all.Go(func() {
			one := o
			one.Send = fmt.Sprintf("%s-%d", o.Send, i)
			r := dialOnce(one)
			key := r.String()
			if strings.HasSuffix(r.Data, " "+one.Send) {
				key = "ok"
			}
			mu.Lock()
			said[key]++
			mu.Unlock()
		})
	}
	all.Wait()
	return outcome{Data: fmt.Sprint(said)}
}

// sendTo sends a datagram on an unconnected socket and waits for one back.
func sendTo(o order) outcome {
	to, err := net.ResolveUDPAddr("udp", o.Addr)
	if err != nil {
		return failed("resolve", err)
	}
	network := "udp4"
	if to.IP.To4() == nil {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, nil)
	if err != nil {
		return failed("socket", err)
	}
	defer c.Close()
	payload := o.Send
	if o.Bytes > 0 {
		payload = strings.Repeat("x", o.Bytes)
	}
	begin := time.Now()
	n, err := c.WriteToUDP([]byte(payload), to)
	elapsed := time.Since(begin)
	if err != nil {
		return failed("sendto", err)
	}
	if n != len(payload) {
		return outcome{Problem: "short datagram"}
	}
	_ = c.SetReadDeadline(time.Now().Add(o.Wait))
	buf := make([]byte, 1<<16)
	n, from, err := c.ReadFromUDP(buf)
	if err != nil {
		r := failed("read", err)
		r.Elapsed = elapsed
		return r
	}
	if o.Bytes > 0 {
		return outcome{Data: fmt.Sprint(n), Addr: from.String(), Elapsed: elapsed}
	}
	return outcome{Data: string(buf[:n]), Addr: from.String(), Elapsed: elapsed}
}

// transfer sends random bytes, ends its side and compares the echo.
func transfer(o order) outcome {
	c, err := net.Dial("tcp", o.Addr)
	if err != nil {
		return failed("connect", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	data := make([]byte, o.Bytes)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	begin := time.Now()
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		if err == nil {
			err = c.(*net.TCPConn).CloseWrite()
		}
		wrote <- err
	}()
	sum := sha256.New()
	n, err := io.Copy(sum, c)
	elapsed := time.Since(begin)
	if err != nil {
		return failed("read", err)
	}
	if err := <-wrote; err != nil {
		return failed("write", err)
	}
	want := sha256.Sum256(data)
	if hex.EncodeToString(sum.Sum(nil)) != hex.EncodeToString(want[:]) {
		return outcome{Problem: fmt.Sprintf("%d bytes came back changed, sent %d", n, len(data))}
	}
	return outcome{Data: "intact", Elapsed: elapsed}
}

// listen answers "guest <line>" on a socket of the guest's own.
func (g *guest) listen(o order) outcome {
	if o.Network == "udp" {
		c, err := net.ListenPacket("udp", o.Addr)
		if err != nil {
			return failed("listen", err)
		}
		go func() {
			buf := make([]byte, 2048)
			for {
				n, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = c.WriteTo([]byte("guest "+strings.TrimSpace(string(buf[:n]))+"\n"), from)
			}
		}()
		g.listeners[c.LocalAddr().String()] = c
		return outcome{Addr: c.LocalAddr().String()}
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return failed("listen", err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerLine(c, "guest")
		}
	}()
	g.listeners[l.Addr().String()] = l
	return outcome{Addr: l.Addr().String()}
}

// oneShot serves one connection with the listener closed, and talks on it for
// longer than the supervisor takes to notice.
func oneShot(o order) outcome {
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return failed("listen", err)
	}
	time.Sleep(50 * time.Millisecond)
	served := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		l.Close()
		served <- c
	}()
	client, err := net.DialTimeout("tcp", l.Addr().String(), o.Wait)
	if err != nil {
		return failed("connect", err)
	}
	defer client.Close()
	server := <-served
	go func() { _, _ = io.Copy(server, server); server.Close() }()
	_ = client.SetDeadline(time.Now().Add(2 * time.Second))
	buf := make([]byte, 4)
	for range 10 {
		if _, err := client.Write([]byte("ping")); err != nil {
			return failed("write", err)
		}
		if _, err := io.ReadFull(client, buf); err != nil {
			return failed("read", err)
		}
		time.Sleep(30 * time.Millisecond)
	}
	return outcome{Data: "kept", Addr: l.Addr().String()}
}

// holdMany opens connections and keeps them.
func (g *guest) holdMany(o order) outcome {
	for i := range o.Times {
		c, err := net.DialTimeout("tcp", o.Addr, o.Wait)
		if err != nil {
			r := failed("connect", err)
			r.Data = fmt.Sprint(i)
			return r
		}
		g.listeners[fmt.Sprint("held ", i)] = c
	}
	return outcome{Data: fmt.Sprint(o.Times)}
}

// ping sends one echo request from a raw socket.
func ping(o order) outcome {
	network, kind := "ip4:icmp", byte(8)
	if strings.Contains(o.Addr, ":") {
		network, kind = "ip6:ipv6-icmp", 128
	}
	c, err := net.Dial(network, o.Addr)
	if err != nil {
		return failed("connect", err)
	}
	defer c.Close()
	b := []byte{kind, 0, 0, 0, 0, 1, 0, 1}
	if kind == 8 {
		b[2], b[3] = 0xf7, 0xfd
	}
	if _, err := c.Write(b); err != nil {
		return failed("write", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(o.Wait))
	buf := make([]byte, 256)
	n, err := c.Read(buf)
	if err != nil {
		return failed("read", err)
	}
	return outcome{Data: fmt.Sprint("echo ", n)}
}

// answerLine answers one line with name and that line.
func answerLine(c net.Conn, name string) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(c, "%s %s\n", name, strings.TrimSpace(line))
}
