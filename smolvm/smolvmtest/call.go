package smolvmtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"bottle.internal/smolvm/internal/wrapper"
)

// A Call is one run of the fake.
type Call struct {
	// Argv is the command line after the program.
	Argv []string
	// Env is the whole environment, KEY=VALUE.
	Env []string
	// Dir is the working directory, State the fake's own, with its script and all that it remembers.
	Dir, State string
	// StdinEmpty says that standard input was /dev/null; Apart that the process led a group of its own.
	StdinEmpty, Apart bool
	// Upload is the content of the host file of a `machine cp` into a guest, 1 MiB of it at most.
	Upload string `json:",omitempty"`
	// Reply is the index of the reply that took the call, -1 for none.
	Reply int
}

// An Exec is a `machine exec` of smolvm.Client, taken apart.
type Exec struct {
	Machine, Dir, Timeout string   // "" where not given
	Env                   []string // KEY=VALUE
	Argv                  []string // the guest's command without the client's wrapper
	Nonce                 string   // what the client waits for; "" with a terminal and when detached
	// Interactive, TTY and Detached are -i, -t and -d.
	Interactive, TTY, Detached bool
}

// Exec takes the call apart; ok is false if it is no exec by smolvm.Client.
func (c Call) Exec() (e Exec, ok bool) {
	if !begins(c.Argv, []string{"machine", "exec"}) {
		return e, false
	}
	at := slices.Index(c.Argv, "--")
	if at < 0 {
		return e, false
	}
	for i := 2; i < at; i++ {
		switch value := c.Argv[i+1]; c.Argv[i] {
		case "--name":
			e.Machine = value
		case "-w":
			e.Dir = value
		case "--timeout":
			e.Timeout = value
		case "-e":
			e.Env = append(e.Env, value)
		case "-i":
			e.Interactive = true
		case "-t":
			e.TTY = true
		case "-d":
			e.Detached = true
		}
	}
	guest := c.Argv[at+1:]
	switch {
	case e.Detached:
		e.Argv, ok = guest, len(guest) > 0
	case e.TTY:
		if e.Argv, ok = wrapper.UnwrapPlain(guest); !ok { // where there is no sh
			e.Argv, ok = guest, len(guest) > 0
		}
	default:
		e.Nonce, e.Argv, ok = wrapper.Unwrap(guest)
	}
	return e, ok
}

// String is the command line for goldens and failures: the client's wrapper is left out of an exec, since its nonce is another one each time.
func (c Call) String() string {
	argv := c.Argv
	if e, ok := c.Exec(); ok {
		argv = append(slices.Clone(argv[:slices.Index(argv, "--")+1]), e.Argv...)
	}
	return strings.Join(argv, " ")
}

// Lookup is the value of a variable in Env.
func (c Call) Lookup(key string) (string, bool) {
	for _, kv := range c.Env {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v, true
		}
	}
	return "", false
}

// present is the call that this process is.
func present(state string) Call {
	dir, _ := os.Getwd() // "" is as good a record as any
	c := Call{
		Argv: os.Args[1:], Env: os.Environ(), Dir: dir, State: state, Reply: -1,
		StdinEmpty: isNull(os.Stdin), Apart: syscall.Getpgrp() == os.Getpid(),
	}
	if source, _, up := c.paths(); up {
		c.Upload = head(source)
	}
	return c
}

// paths is the host path of a `machine cp`; exactly one of the results down and up is true for one.
func (c Call) paths() (host string, down, up bool) {
	if !begins(c.Argv, []string{"machine", "cp"}) || len(c.Argv) < 4 {
		return "", false, false
	}
	source, target := c.Argv[len(c.Argv)-2], c.Argv[len(c.Argv)-1]
	if strings.Contains(source, ":") {
		return target, true, false
	}
	return source, false, true
}

func head(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	text, _ := io.ReadAll(io.LimitReader(f, 1<<20)) // a short record is a record
	return string(text)
}

func isNull(f *os.File) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(have, null)
}

const (
	scriptFile = "replies.json"
	callsFile  = "calls.jsonl"
)

// readCalls returns the calls recorded in the directory state, none if there is no record.
func readCalls(state string) ([]Call, error) {
	text, err := os.ReadFile(filepath.Join(state, callsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var calls []Call
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		var c Call
		if err := dec.Decode(&c); errors.Is(err, io.EOF) {
			return calls, nil
		} else if err != nil {
			return calls, fmt.Errorf("reading %s: %w", callsFile, err)
		}
		calls = append(calls, c)
	}
}

// used counts the calls per reply.
func used(calls []Call) map[int]int {
	n := map[int]int{}
	for _, c := range calls {
		n[c.Reply]++
	}
	return n
}
