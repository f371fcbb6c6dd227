package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// chosenContext is the docker command's current context and its endpoint. Both are empty where none was chosen or it is the
// built-in "default". An error says why a chosen one cannot be used.
func (f finder) chosenContext() (name, host string, err error) {
	dir := f.getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(f.home, ".docker")
	}
	if name = f.getenv("DOCKER_CONTEXT"); name == "" {
		if name, err = currentContext(filepath.Join(dir, "config.json")); err != nil {
			return "", "", err
		}
	}
	if name == "" || name == "default" {
		return "", "", nil
	}
	host, err = endpoint(dir, name)
	return name, host, err
}

func currentContext(config string) (string, error) {
	b, err := os.ReadFile(config)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	var cfg struct {
		CurrentContext string `json:"currentContext"`
	}
	if err == nil {
		err = json.Unmarshal(b, &cfg)
	}
	if err != nil {
		return "", fmt.Errorf("reading %q: %w", config, err)
	}
	return cfg.CurrentContext, nil
}

// endpoint reads what `docker context create` wrote: the directory's name is the SHA-256 of the context's.
func endpoint(dir, name string) (string, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	b, err := os.ReadFile(filepath.Join(dir, "contexts", "meta", id, "meta.json"))
	if err != nil {
		return "", fmt.Errorf("no such context: %w", err)
	}
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return "", fmt.Errorf("reading its metadata: %w", err)
	}
	host := meta.Endpoints["docker"].Host
	if host == "" {
		return "", errors.New("it has no docker endpoint")
	}
	if strings.HasPrefix(host, "ssh://") {
		return "", fmt.Errorf("its endpoint %s needs the docker command's ssh helper: forward the socket and set DOCKER_HOST to it", host)
	}
	if _, err := os.Stat(filepath.Join(dir, "contexts", "tls", id, "docker")); err == nil {
		return "", errors.New("it has TLS files of its own: set DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH")
	}
	return host, nil
}
