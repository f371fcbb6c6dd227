package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// parcelMark ends an executable that carries a request. Before it stands the request's length, in eight bytes, and before that the request:
// what follows an ELF's segments is no business of the loader's.
const parcelMark = "\nbottle-request\n"

// Parcel is the agent's executable with a request behind it, in one file: for a sandbox into which one stream leads, and no argument of
// any size. Run without arguments, it makes that request.
func Parcel(executable, request []byte) []byte {
	return slices.Concat(executable, request, binary.BigEndian.AppendUint64(nil, uint64(len(request))), []byte(parcelMark))
}

// ownRequest is the request behind this process's own executable, and nil if there is none.
func ownRequest() ([]byte, error) {
	f, err := os.Open(executable())
	if err != nil {
		return nil, nil //nolint:nilerr // a program that cannot find itself carries nothing
	}
	defer func() { _ = f.Close() }()
	return parcelIn(f)
}

// executable is this process's own file. A sandbox may have no /proc.
func executable() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}

func parcelIn(f io.ReadSeeker) ([]byte, error) {
	tail := make([]byte, 8+len(parcelMark))
	end, err := f.Seek(-int64(len(tail)), io.SeekEnd)
	if err != nil {
		return nil, nil //nolint:nilerr // shorter than a tail
	}
	if _, err := io.ReadFull(f, tail); err != nil || !bytes.HasSuffix(tail, []byte(parcelMark)) {
		return nil, err
	}
	size := binary.BigEndian.Uint64(tail)
	if size > MaxBatch || int64(size) > end { //nolint:gosec // bounded by MaxBatch
		return nil, fmt.Errorf("agent: the executable says that it carries a request of %d bytes", size)
	}
	if _, err := f.Seek(end-int64(size), io.SeekStart); err != nil { //nolint:gosec // see above
		return nil, err
	}
	request := make([]byte, size)
	_, err = io.ReadFull(f, request)
	return request, err
}

// remove takes this process's own executable away: a sandbox may have no rm, and nothing is to be left behind in it.
func remove() error {
	err := os.Remove(executable())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
