package gobuild

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// ReleaseTag is the build tag of a binary that carries what Pack has written.
const ReleaseTag = "bottle_release"

// CarriedDir is where a build with ReleaseTag has to find what Pack has written, below the module's directory. Nothing is there in the
// sources: an overlay of go build puts it there.
const CarriedDir = "internal/gobuild/carried"

// Pack writes into the directory dir what a released binary is to carry: r with an entry for each of files, paths of built binaries; these,
// compressed; and kills, the kit's record of kills, of which nil is none. The same input is packed into the same bytes.
func Pack(dir string, r Release, files map[Target]string, kills []byte) error {
	for t, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c := Carried{t.Command, t.GOOS, t.GOARCH, sum(b)}
		if b, err = compressed(b); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, c.file()), b, 0o600); err != nil {
			return err
		}
		r.Binaries = append(r.Binaries, c)
	}
	slices.SortFunc(r.Binaries, func(a, b Carried) int { return cmp.Compare(a.file(), b.file()) })
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, manifestName), append(text, '\n'), 0o600); err != nil || kills == nil {
		return err
	}
	record := filepath.Join(dir, killsName, r.Kit+".json")
	if err := os.MkdirAll(filepath.Dir(record), 0o700); err != nil {
		return err
	}
	return os.WriteFile(record, kills, 0o600)
}

// compressed is b, compressed as far as this library goes: the container library links it anyway, and it saves half a megabyte against gzip.
func compressed(b []byte) ([]byte, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return nil, err
	}
	return z.EncodeAll(b, nil), z.Close()
}
