//go:build linux

package sim

import (
	"encoding/json"
	"log"
	"os"
	"regexp"
	"sync"
	"time"
)

// A denial is one line of egress-denials.log (smolvm v1.8.1: timestamp, operation, dest).
type denial struct {
	Timestamp string `json:"timestamp"`
	Operation string `json:"operation"`
	Dest      string `json:"dest"`
}

var deniedLine = regexp.MustCompile(`^egress policy denied (\S+)(?: to)? (\S+)$`)

// maxDenials bounds the log's size in lines: a guest must not fill the host's disk by dialling.
const maxDenials = 10000

// A denialLog writes denials to a file. The nil log drops them. Safe for concurrent use.
type denialLog struct {
	mu    sync.Mutex
	file  *os.File
	lines int
}

// openDenialLog empties the file: the log is of one boot. A file that cannot be opened costs the log, not the boot.
func openDenialLog(path string) *denialLog {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		log.Printf("no %s: %v", fileDenials, err)
		return nil
	}
	return &denialLog{file: f}
}

// note writes a log line of the network down if it tells of a denial.
func (d *denialLog) note(line string) {
	if d == nil {
		return
	}
	m := deniedLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lines++; d.lines <= maxDenials {
		_ = json.NewEncoder(d.file).Encode(denial{Timestamp: time.Now().UTC().Format(time.RFC3339Nano), Operation: m[1], Dest: m[2]})
	}
}

func (d *denialLog) close() {
	if d != nil {
		_ = d.file.Close()
	}
}
