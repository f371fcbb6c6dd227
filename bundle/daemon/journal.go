package daemon

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// maxLine bounds, in bytes, one logged line; a longer one is continued on the next.
const maxLine = 16 << 10

// A journal writes one JSON object per line. It is safe for concurrent use.
type journal struct {
	mu     sync.Mutex
	w      io.Writer
	daemon string   // the daemon whose events these are, also its name in echoes
	peers  sync.Map // of those that are overheard, by address: *overheard
}

func newJournal(w io.Writer, daemon string) *journal { return &journal{w: w, daemon: daemon} }

// A decision is one request judged.
type decision struct {
	Time     time.Time `json:"time"`
	Decision string    `json:"decision"` // "allow" or "deny"
	Daemon   string    `json:"daemon"`
	Method   string    `json:"method"`
	Target   string    `json:"target"` // host:port asked for; for a dial also the address it became
	Rule     string    `json:"rule"`   // the allowlist's entry, or the ground of a denial
	Peer     string    `json:"peer,omitempty"`
	Nonces   []string  `json:"nonces,omitempty"` // that the peer had said by then
}

// Printf takes what goproxy has to say; inside a JSON string, because it quotes what peers sent.
func (j *journal) Printf(format string, args ...any) {
	j.write(struct {
		Time    time.Time `json:"time"`
		Message string    `json:"message"`
	}{time.Now().UTC(), strings.TrimSpace(fmt.Sprintf(format, args...))})
}

func (j *journal) write(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return // structs of strings and times only
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, _ = j.w.Write(append(b, '\n'))
}

// A console is PID 1's log: whole lines from several daemons, each with its name. It is safe for concurrent use.
type console struct {
	mu sync.Mutex
	w  io.Writer
}

func (c *console) printf(format string, args ...any) { c.line(fmt.Sprintf(format, args...)) }

func (c *console) line(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.WriteString(c.w, text+"\n")
}

// copy logs r's lines as name's until r ends.
func (c *console) copy(name string, r io.Reader) {
	br := bufio.NewReaderSize(r, maxLine)
	for {
		b, _, err := br.ReadLine()
		if len(b) > 0 {
			c.line("[" + name + "] " + string(b))
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.printf("[%s] reading its output: %v", name, err)
			}
			return
		}
	}
}
