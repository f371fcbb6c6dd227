package agent

import (
	"os"
	"strconv"
	"strings"
)

// peakKiB is the most memory that this process has had resident so far, in KiB, 0 if the kernel does not tell. It is the process's own from its
// exec on: what wait4 tells counts in what whoever forked it had.
func peakKiB() int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return kib
		}
	}
	return 0
}
