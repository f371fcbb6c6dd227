package bottletest

import (
	"bytes"
	"fmt"
	"sync"
	"time"
)

// A journal keeps every line that a bottle's life logged, for the artifacts of a failure, and passes it on.
type journal struct {
	next func(format string, args ...any)

	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) logf(format string, args ...any) {
	j.mu.Lock()
	fmt.Fprintf(&j.buf, "%s  %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
	j.mu.Unlock()
	if j.next != nil {
		j.next(format, args...)
	}
}

func (j *journal) bytes() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Clone(j.buf.Bytes())
}
