package smolvm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// imagesLimit bounds images and prune: both boot a machine that does not run, and stop it afterwards.
const imagesLimit = 5 * time.Minute

// DataDir is the absolute host directory of the machine's VM, with its console log and its disks. Releases up to 1.9.3 answer for a machine
// that is not there too, with the directory that it would have.
func (c *Client) DataDir(ctx context.Context, name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	v, err := c.release(ctx)
	if err != nil {
		return "", err
	}
	out, err := c.run(ctx, call{argv: dataDirArgs(v, name), limit: queryLimit})
	if err != nil {
		return "", err
	}
	dir, err := parseDir(out.stdout)
	if err != nil {
		return "", out.failure(err)
	}
	return dir, nil
}

func dataDirArgs(v Version, name string) []string {
	if v.has(nameFlag) {
		return []string{"machine", "data-dir", "--name", name}
	}
	return []string{"machine", "data-dir", name}
}

// parseDir takes one line with an absolute path.
func parseDir(text []byte) (string, error) {
	dir := strings.TrimSuffix(string(text), "\n")
	if !filepath.IsAbs(dir) || strings.ContainsAny(dir, "\n\r\x00") {
		return "", fmt.Errorf("parsing the machine's directory: %.200q is no absolute path", text)
	}
	return filepath.Clean(dir), nil
}

// An Image is an OCI image that a machine holds. What smolvm does not tell is zero.
type Image struct {
	Reference, Digest string
	// Size is in bytes.
	Size             int64
	Architecture, OS string
	Layers           int
}

// Images lists the images in the machine. A machine that does not run is booted for it, and stopped afterwards.
func (c *Client) Images(ctx context.Context, name string) ([]Image, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	out, err := c.run(ctx, call{argv: imagesArgs(name), limit: imagesLimit, apart: true})
	if err != nil {
		return nil, err
	}
	list, err := parseImages(out.stdout)
	if err != nil {
		return nil, out.failure(err)
	}
	return list, nil
}

func imagesArgs(name string) []string { return []string{"machine", "images", "--name", name, "--json"} }

func parseImages(text []byte) ([]Image, error) {
	items, err := objects(text)
	if err != nil {
		return nil, fmt.Errorf("parsing the list of images: %w", err)
	}
	list := make([]Image, 0, len(items))
	for _, f := range items {
		list = append(list, Image{
			Reference: field[string](f, "reference"), Digest: field[string](f, "digest"), Size: field[int64](f, "size"),
			Architecture: field[string](f, "architecture"), OS: field[string](f, "os"), Layers: field[int](f, "layer_count"),
		})
	}
	return list, nil
}

// objects is a JSON array of objects, each by its fields.
func objects(text []byte) ([]map[string]json.RawMessage, error) {
	var items []map[string]json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, err
	}
	for _, f := range items {
		if f == nil {
			return nil, errors.New("null in place of an object")
		}
	}
	return items, nil
}

// PruneOptions say what Prune removes. The zero value removes layers that no image uses.
type PruneOptions struct {
	// All removes every image too.
	All bool
	// DryRun only says what would be removed.
	DryRun bool
}

// Prune removes image layers from the machine and returns what smolvm says of it, a text for people. A machine that does not run is booted
// for it, and stopped afterwards.
func (c *Client) Prune(ctx context.Context, name string, o PruneOptions) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	out, err := c.run(ctx, call{argv: pruneArgs(name, o), limit: imagesLimit, apart: true})
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out.stdout)), nil
}

func pruneArgs(name string, o PruneOptions) []string {
	return append([]string{"machine", "prune", "--name", name}, switchArgs(map[string]bool{"--all": o.All, "--dry-run": o.DryRun})...)
}

// A Denial is something that smolvm kept the guest from reaching.
type Denial struct {
	// Time is zero where smolvm tells it in a form unknown here.
	Time time.Time
	// Operation is smolvm's word for what was tried, Destination where to.
	Operation, Destination string
}

// Denials returns what the egress policy has denied, oldest first as smolvm lists it. It knows of virtio-net only, and a guest can fill it,
// so that none here is no proof of anything. ErrUnsupported below 1.8.1.
func (c *Client) Denials(ctx context.Context, name string) ([]Denial, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	v, err := c.release(ctx)
	if err != nil {
		return nil, err
	}
	if !v.has(denialLog) {
		return nil, fmt.Errorf("reading the denials of %q: %w: %s lists them, this is %s", name, ErrUnsupported, features[denialLog].since, v)
	}
	out, err := c.run(ctx, call{argv: denialsArgs(name), limit: queryLimit})
	if err != nil {
		return nil, err
	}
	list, err := parseDenials(out.stdout)
	if err != nil {
		return nil, out.failure(err)
	}
	return list, nil
}

func denialsArgs(name string) []string {
	return []string{"machine", "egress-events", "--name", name, "--json"}
}

func parseDenials(text []byte) ([]Denial, error) {
	items, err := objects(text)
	if err != nil {
		return nil, fmt.Errorf("parsing the denials: %w", err)
	}
	list := make([]Denial, 0, len(items))
	for _, f := range items {
		list = append(list, Denial{
			Time: moment(f["timestamp"]), Operation: field[string](f, "operation"), Destination: field[string](f, "dest"),
		})
	}
	return list, nil
}

// moment reads a time as RFC 3339, or as seconds or milliseconds since 1970.
func moment(text json.RawMessage) time.Time {
	var s string
	if json.Unmarshal(text, &s) == nil {
		t, _ := time.Parse(time.RFC3339Nano, s) // zero on failure, as documented
		return t
	}
	var n float64
	if json.Unmarshal(text, &n) != nil || n <= 0 || n > 1e15 {
		return time.Time{}
	}
	if n > 1e11 {
		return time.UnixMilli(int64(n)).UTC()
	}
	return time.UnixMilli(int64(n * 1000)).UTC()
}
