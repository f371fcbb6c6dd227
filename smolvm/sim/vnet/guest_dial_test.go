//go:build linux

package vnet

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

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

// ping sends one echo request from a raw socket, with what there is to send in it.
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
	b := append([]byte{kind, 0, 0, 0, 0, 1, 0, 1}, o.Send...)
	if kind == 8 {
		header.ICMPv4(b).SetChecksum(^checksum.Checksum(b, 0))
	}
	if _, err := c.Write(b); err != nil {
		return failed("write", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(o.Wait))
	buf := make([]byte, 256)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return failed("read", err)
		}
		got := buf[:n]
		if kind == 8 {
			got = got[header.IPv4MinimumSize:]
		}
		if got[0] == kind {
			continue // on lo a raw socket sees what it sends
		}
		return outcome{Data: strings.TrimSpace("echo " + string(got[8:]))}
	}
}

// resolve asks the name server at an address for the A record of a name, or for
// AAAA if it is said first.
func resolve(o order) outcome {
	kind, name := dns.TypeA, o.Send
	if rest, six := strings.CutPrefix(name, "AAAA "); six {
		kind, name = dns.TypeAAAA, rest
	}
	client := dns.Client{Net: o.Network, Timeout: o.Wait}
	r, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), kind), o.Addr)
	if err != nil {
		return failed("resolve", err)
	}
	said := dns.RcodeToString[r.Rcode]
	for _, rr := range r.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			said += " " + rr.A.String()
		case *dns.AAAA:
			said += " " + rr.AAAA.String()
		}
	}
	return outcome{Data: said}
}
