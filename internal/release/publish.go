package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bottle.internal/internal/gobuild"
)

// sumsName is the file of checksums, as sha256sum -c reads it.
const sumsName = "SHA256SUMS"

// publish writes into the fresh directory out, for each bottle-probe that was made, an archive and its bill of material, and the checksums. The
// record of kills lies beside them: with it anybody can build the same release.
func publish(root, out string, r gobuild.Release, kills []byte, made []product, say func(string, ...any)) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var inside []product
	for _, p := range made {
		if p.Command != "bottle-probe" {
			inside = append(inside, p)
		}
	}
	for _, p := range made {
		if p.Command != "bottle-probe" {
			continue
		}
		if err := publishOne(root, out, r, p, inside); err != nil {
			return err
		}
	}
	if kills != nil {
		if err := os.WriteFile(filepath.Join(out, "kills-"+r.Kit+".json"), kills, 0o644); err != nil {
			return err
		}
	}
	if err := checksums(out); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(out, sumsName))
	say("%s:\n%s", out, text)
	return err
}

func publishOne(root, out string, r gobuild.Release, p product, inside []product) error {
	name := fmt.Sprintf("bottle-probe_%s_%s_%s", r.Version, p.GOOS, p.GOARCH)
	b, err := newBill(r, p, inside)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := b.write(&text); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, name+".cdx.json"), text.Bytes(), 0o644); err != nil {
		return err
	}
	archive, err := archived(name, []file{
		{"bottle-probe", p.path, 0o755}, {"bottle-probe.1", filepath.Join(root, "docs", "bottle-probe.1"), 0o644}, {"LICENSE", filepath.Join(root, "LICENSE"), 0o644},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, name+".tar.gz"), archive, 0o644)
}

// A file is one of an archive.
type file struct {
	name, path string
	mode       int64
}

// then is when every file of an archive was written: an archive has no time of its own, and some tar complains of the year 1970.
var then = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

// archived is a tar, compressed, of files in one directory. The same files are the same bytes.
func archived(dir string, files []file) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		b, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: dir + "/" + f.name, Mode: f.mode, Size: int64(len(b)), ModTime: then, Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(b); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err = z.Close()
	return out.Bytes(), err
}

// checksums writes those of all files of dir.
func checksums(dir string) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range all {
		sum, err := fileSum(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, e.Name())
	}
	return os.WriteFile(filepath.Join(dir, sumsName), []byte(text.String()), 0o644)
}

// fileSum is the SHA-256 of a file, in hex.
func fileSum(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
