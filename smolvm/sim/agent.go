//go:build linux

package sim

import (
	"log"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// maxCommands is how many commands and copies one machine serves at once; more wait (smolvm-agent main.rs).
const maxCommands = 8

// An agent is what pid 1 of a guest does for the command line.
type agent struct {
	listener net.Listener
	reaper   *reaper
	slots    chan struct{}
	doomed   atomic.Bool // the next exec dies with 137
	config   initConfig
	bundle   bundle
	exit     func()
}

func newAgent(c initConfig, l net.Listener) *agent {
	a := &agent{listener: l, reaper: newReaper(), slots: make(chan struct{}, maxCommands), config: c}
	a.doomed.Store(c.Faults.has(faultExec137Once))
	a.exit = func() { os.Exit(0) }
	return a
}

func (a *agent) accept() {
	for {
		c, err := a.listener.Accept()
		if err != nil {
			log.Print(err)
			time.Sleep(10 * time.Millisecond) // out of descriptors: some command will give one back
			continue
		}
		go a.handle(c.(*net.UnixConn))
	}
}

// handle serves one connection: one request.
func (a *agent) handle(conn *net.UnixConn) {
	defer conn.Close()
	var req request
	files, err := receive(conn, &req)
	if err != nil {
		return
	}
	defer closeAll(files)
	switch req.Op {
	case opPing:
		_ = send(conn, reply{})
		return
	case opShutdown:
		a.shutDown()
		_ = send(conn, reply{})
		a.exit()
		return
	}
	a.slots <- struct{}{}
	defer func() { <-a.slots }()
	switch {
	case req.Op == opExec && a.config.Faults.has(faultExecHangs):
		_, _ = conn.Read(make([]byte, 1)) // until the client gives up
	case req.Op == opExec:
		a.exec(conn, req)
	case req.Op == opPut && len(files) == 1:
		_ = send(conn, a.put(conn, req, files[0]))
	case req.Op == opTake && len(files) == 1:
		_ = send(conn, a.take(conn, req, files[0]))
	default:
		_ = send(conn, reply{Error: "unknown request"})
	}
}

// shutdownGrace is how long the guest's processes have after SIGTERM. The kernel kills the rest with pid 1.
const shutdownGrace = 500 * time.Millisecond

func (a *agent) shutDown() {
	for end := time.Now().Add(shutdownGrace); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		// In a pid namespace -1 is everybody but pid 1.
		if syscall.Kill(-1, syscall.SIGTERM) == syscall.ESRCH {
			return
		}
	}
}

// baseEnvironment is every command's, under the machine's own and the command's.
var baseEnvironment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root",
	"TERM=xterm-256color",
}

// merged keeps the last value of each variable.
func merged(env []string) []string {
	var out []string
	for _, kv := range env {
		key := kv[:max(indexEquals(kv), 0)]
		out = slices.DeleteFunc(out, func(old string) bool { return old[:max(indexEquals(old), 0)] == key })
		out = append(out, kv)
	}
	return out
}

func indexEquals(kv string) int { return slices.Index([]byte(kv), '=') }
