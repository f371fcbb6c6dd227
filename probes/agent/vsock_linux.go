package agent

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sweepFlows bounds the ports of a sweep that are dialled at once.
const sweepFlows = 64

// dialVSOCK dials one port of a context, or every one of a range.
func dialVSOCK(a Attempt, r *Result, start time.Time) (err error) {
	if a.Method == Sweep {
		return sweep(a, r, start)
	}
	s := stream{start: start, deadline: start.Add(a.Budget())}
	defer s.close()
	r.Stage, err = s.connect(unix.AF_VSOCK, 0, &unix.SockaddrVM{CID: a.CID, Port: a.VPort})
	r.ConnectUS = time.Since(start).Microseconds()
	if err != nil {
		return err
	}
	r.Stage, r.Reply, err = s.converse(a.Messages())
	return err
}

// sweep lists the ports that take a connection. What the others said most often is the errno, if none did.
func sweep(a Attempt, r *Result, start time.Time) error {
	deadline := start.Add(a.Budget())
	ports := make(chan uint32)
	var mu sync.Mutex
	var open bytes.Buffer
	said := make(map[error]int)
	var workers sync.WaitGroup
	for range sweepFlows {
		workers.Go(func() {
			for port := range ports {
				s := stream{deadline: deadline}
				_, err := s.connect(unix.AF_VSOCK, 0, &unix.SockaddrVM{CID: a.CID, Port: port})
				s.close()
				mu.Lock()
				if said[err]++; err == nil {
					fmt.Fprintln(&open, port)
				}
				mu.Unlock()
			}
		})
	}
	tried := uint32(0)
	for port := a.VPort; port <= max(a.VPort, a.VPortTo) && time.Now().Before(deadline); port++ {
		ports <- port
		tried++
	}
	close(ports)
	workers.Wait()
	r.Stage = StageDone
	if r.Reply = open.Bytes(); len(r.Reply) > 0 {
		return nil
	}
	r.Stage = StageConnect
	if tried <= max(a.VPort, a.VPortTo)-a.VPort {
		return unix.ETIMEDOUT
	}
	var most error
	for err, n := range said {
		if n > said[most] {
			most = err
		}
	}
	return most
}
