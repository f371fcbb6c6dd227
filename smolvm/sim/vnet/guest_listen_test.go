//go:build linux

package vnet

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

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
	network := "tcp"
	if strings.HasPrefix(o.Addr, "0.0.0.0:") { // which Go would make [::]
		network = "tcp4"
	}
	l, err := net.Listen(network, o.Addr)
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
