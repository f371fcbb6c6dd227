//go:build linux

package vnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
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
	case "resolve":
		return resolve(o)
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
