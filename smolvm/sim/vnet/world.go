//go:build linux

package vnet

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
)

// worldFlow is the line that opens every connection to the world.
type worldFlow struct {
	Network     string `json:"network"`
	Destination string `json:"destination"`
	Source      string `json:"source"`
	Machine     string `json:"machine"`
}

// dialWorld hands f to the world: one JSON line, then the bytes of a tcp flow, or
// the datagrams of any other, each behind its length in two bytes, most
// significant first.
func (d *dialer) dialWorld(ctx context.Context, f flow) (net.Conn, error) {
	conn, err := d.openWorld(ctx, f)
	if err != nil || f.network == "tcp" {
		return conn, err
	}
	return &framedConn{Conn: conn, in: bufio.NewReaderSize(conn, 4<<10)}, nil
}

// openWorld is dialWorld up to the line.
func (d *dialer) openWorld(ctx context.Context, f flow) (net.Conn, error) {
	nd := net.Dialer{Timeout: dialTimeout}
	conn, err := nd.DialContext(ctx, "unix", d.cfg.World)
	if err != nil {
		return nil, fmt.Errorf("vnet: world: %w", err)
	}
	line, err := json.Marshal(worldFlow{
		Network: f.network, Destination: f.dst.String(), Source: f.src.String(), Machine: d.cfg.Machine,
	})
	if err == nil {
		_, err = conn.Write(append(line, '\n'))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("vnet: world: %w", err)
	}
	return conn, nil
}

// A framedConn carries datagrams over a stream.
type framedConn struct {
	net.Conn
	in *bufio.Reader
}

// Read returns one datagram; what does not fit into b is lost.
func (c *framedConn) Read(b []byte) (int, error) {
	var size [2]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		return 0, err
	}
	left := int(binary.BigEndian.Uint16(size[:]))
	n, err := io.ReadFull(c.in, b[:min(left, len(b))])
	if err != nil {
		return n, err
	}
	_, err = c.in.Discard(left - n)
	return n, err
}

// Write sends one datagram.
func (c *framedConn) Write(b []byte) (int, error) {
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b)))
	if _, err := c.Conn.Write(append(frame, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}
