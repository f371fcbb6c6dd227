package agent

import (
	"bytes"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	mostText = 256 << 10 // of one environment, or of the kernel's log
	mostTold = 256       // of one text that was found
	readLog  = 3         // SYSLOG_ACTION_READ_ALL of syslog(2)
)

// searchText looks for texts that begin with Path where a launcher's secrets end up. The agent's own process is one of the
// places: a sandbox may have handed its launcher's environment to it alone.
func searchText(v *sight) error {
	if v.Path == "" {
		return unix.EINVAL
	}
	pids, err := processes()
	if err != nil {
		return err
	}
	v.searchIn("/proc/cmdline", nil)
	log := make([]byte, mostText)
	if n, err := unix.Klogctl(readLog, log); err == nil {
		v.searchIn("kmsg", log[:n])
	}
	for _, pid := range pids {
		if v.over() {
			return nil
		}
		for _, name := range []string{"environ", "cmdline"} {
			v.searchIn(filepath.Join("/proc", strconv.Itoa(pid), name), nil)
		}
	}
	return nil
}

// searchIn notes what b, or the file where, has of it. What cannot be read has nothing to find.
func (v *sight) searchIn(where string, b []byte) {
	if b == nil {
		b, _ = contents(where, mostText)
	}
	for {
		i := bytes.Index(b, []byte(v.Path))
		if i < 0 {
			return
		}
		b = b[i:]
		end := bytes.IndexAny(b, "\x00\n ")
		if end < 0 {
			end = len(b)
		}
		if text := b[:min(end, mostTold)]; !v.asks(text) {
			v.add(where, string(text))
		}
		b = b[len(v.Path):]
	}
}

// asks reports whether text is the question and no answer: whoever runs the agent may have the request in an argument.
func (v *sight) asks(text []byte) bool {
	rest := text[len(v.Path):]
	return len(rest) == 0 || rest[0] == '"' || rest[0] == '\\'
}
