//go:build unix

package probes

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// nextData is the first place from at on where f has data and no hole, at itself where nobody knows.
func nextData(f *os.File, at int64) int64 {
	next, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // nothing but a hole to the end
		return 1<<63 - 1
	case err != nil:
		return at
	}
	return next
}
