package probes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"bottle.internal/internal/echo"
)

const (
	// remainsLimit bounds one search, and remainsDepth how far below a directory of the host's at large it goes.
	remainsLimit = 30 * time.Second
	remainsDepth = 3
	remainsChunk = 1 << 20
	// remainsOther is how much of a file of the host's at large is read: what a sandbox leaves there is no disk.
	remainsOther = 1 << 20
)

// A remainder is where on the host a nonce was found that a guest had written down.
type remainder struct {
	nonce echo.Nonce
	path  string
}

// searchAll reads every file below dir, the data of disk images without their holes, for wanted. A dir that is not there has nothing.
func searchAll(ctx context.Context, dir string, wanted []echo.Nonce) ([]remainder, error) {
	return search(ctx, dir, wanted, -1, func(fs.FileInfo) int64 { return 1 << 62 })
}

// searchRecent reads what was changed since then in a directory of the host's at large, and a little below.
func searchRecent(ctx context.Context, dir string, wanted []echo.Nonce, since time.Time) ([]remainder, error) {
	return search(ctx, dir, wanted, remainsDepth, func(info fs.FileInfo) int64 {
		if info.ModTime().Before(since) {
			return 0
		}
		return remainsOther
	})
}

// search reads as much of each plain file as most says. What goes away meanwhile is gone.
func search(ctx context.Context, dir string, wanted []echo.Nonce, depth int, most func(fs.FileInfo) int64) (found []remainder, err error) {
	ctx, cancel := context.WithTimeout(ctx, remainsLimit)
	defer cancel()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil && depth >= 0: // not ours to read
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case d.IsDir() && depth >= 0 && depthBelow(dir, path) > depth:
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // it is gone
		}
		all, err := noncesIn(ctx, path, min(info.Size(), most(info)), wanted)
		for _, n := range all {
			found = append(found, remainder{n, path})
		}
		if errors.Is(err, fs.ErrNotExist) || depth >= 0 && errors.Is(err, fs.ErrPermission) {
			return nil
		}
		return err
	})
	return found, err
}

func depthBelow(dir, path string) int {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == "." {
		return 0
	}
	return 1 + bytes.Count([]byte(rel), []byte{filepath.Separator})
}

// noncesIn are those of wanted in the first size bytes of a file.
func noncesIn(ctx context.Context, path string, size int64, wanted []echo.Nonce) ([]echo.Nonce, error) {
	if size <= 0 {
		return nil, nil
	}
	f, err := os.Open(path) //nolint:gosec // a file of the engine's
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var found []echo.Nonce
	buf := make([]byte, remainsChunk)
	for at := int64(0); at < size; {
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
		if at = nextData(f, at); at >= size {
			break
		}
		n, err := f.ReadAt(buf, at)
		for _, w := range wanted {
			if bytes.Contains(buf[:n], []byte(w)) && !slices.Contains(found, w) {
				found = append(found, w)
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return found, err
		}
		if n < len(buf) {
			break
		}
		at += int64(n) - int64(len(wanted[0])) // one may lie across
	}
	return found, nil
}
