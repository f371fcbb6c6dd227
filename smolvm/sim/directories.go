//go:build linux

package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
)

// directories are where a user's machines live. The names differ from smolvm's own, so that simulator and smolvm never
// read each other's state.
type directories struct {
	records string // one JSON file per machine
	vms     string // one directory per machine
	layers  string // the layers of images and packs, unpacked
	images  string // pulled images, an OCI layout
	packs   string // what is known of packs already verified
}

func directoriesOf(f features, env environ) (directories, error) {
	home := env["HOME"]
	if d := env["SMOLVM_DATA_DIR"]; d != "" && f.DataDirVariable {
		home = d
	}
	data, err := baseDirectory(env["XDG_DATA_HOME"], home, ".local/share")
	if err != nil {
		return directories{}, err
	}
	cache, err := baseDirectory(env["XDG_CACHE_HOME"], home, ".cache")
	if err != nil {
		return directories{}, err
	}
	return directories{
		records: filepath.Join(data, "smolvm-sim", "machines"),
		vms:     filepath.Join(cache, "smolvm-sim", "vms"),
		layers:  filepath.Join(cache, "smolvm-sim", "layers"),
		images:  filepath.Join(cache, "smolvm-sim", "images"),
		packs:   filepath.Join(cache, "smolvm-sim", "packs"),
	}, nil
}

// baseDirectory follows the XDG rule that a relative path counts as unset.
func baseDirectory(xdg, home, below string) (string, error) {
	switch {
	case filepath.IsAbs(xdg):
		return xdg, nil
	case filepath.IsAbs(home):
		return filepath.Join(home, below), nil
	default:
		return "", configError("data directory", "neither HOME nor XDG_DATA_HOME and XDG_CACHE_HOME name an absolute directory")
	}
}

// vm is a machine's directory: 16 hex digits of its name's hash keep unix socket paths short.
func (d directories) vm(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(d.vms, hex.EncodeToString(sum[:])[:16])
}
