package packs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A fingerprint tells without reading it whether a file is still the one that was read. The time of the inode's last change is in it:
// a write sets it, and unlike the time of the last modification nobody can set it back.
type fingerprint struct {
	Size     int64  `json:"size"`
	Inode    uint64 `json:"inode"`
	Modified int64  `json:"modified"` // nanoseconds
	Changed  int64  `json:"changed"`  // nanoseconds
}

func printOf(path string) (fingerprint, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fingerprint{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fingerprint{Size: st.Size, Inode: st.Ino, Modified: st.Mtim.Nano(), Changed: st.Ctim.Nano()}, nil
}

// sumOf is the file's sha256 in hex.
func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// A noted sum is the sum of a file outside of the cache, as long as that file does not change.
type noted struct {
	Path   string      `json:"path"`
	Print  fingerprint `json:"fingerprint"`
	SHA256 string      `json:"sha256"`
}

// FileDigest is the content of the file at path, an absolute one, as "sha256:…". The file is read once; as long as it does not change,
// later calls of any process answer from a note.
func (c *Cache) FileDigest(path string) (string, error) {
	now, err := printOf(path)
	if err != nil {
		return "", err
	}
	at := sha256.Sum256([]byte(path))
	note := filepath.Join(c.sumDir(), hex.EncodeToString(at[:16]))
	var n noted
	if text, err := os.ReadFile(note); err == nil && json.Unmarshal(text, &n) == nil && n.Path == path && n.Print == now {
		return digest(n.SHA256), nil
	}
	n = noted{Path: path, Print: now}
	if n.SHA256, err = sumOf(path); err != nil {
		return "", err
	}
	after, err := printOf(path)
	if err != nil {
		return "", err
	}
	if after != now {
		return "", fmt.Errorf("%q changes while it is read", path)
	}
	if err := c.prepare(); err != nil {
		return "", err
	}
	text, err := json.Marshal(n)
	if err != nil {
		return "", err
	}
	return digest(n.SHA256), replace(note, text)
}

func digest(sum string) string { return "sha256:" + sum }
