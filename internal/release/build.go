package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"bottle.internal/internal/gobuild"
)

// A platform is an operating system and an architecture, by Go's names.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// carried are what every release has with it: what runs in guests and containers, whatever the host.
var carried = []gobuild.Target{
	{Command: "bottle-agent", GOOS: "linux", GOARCH: "amd64"}, {Command: "bottle-agent", GOOS: "linux", GOARCH: "arm64"},
	{Command: "bottle-bundle", GOOS: "linux", GOARCH: "amd64"}, {Command: "bottle-bundle", GOOS: "linux", GOARCH: "arm64"},
}

// A product is a binary that was built.
type product struct {
	gobuild.Target
	path string
}

func (p product) String() string { return p.Command + " " + p.GOOS + "/" + p.GOARCH }

// A build makes binaries from one tree of sources.
type build struct {
	root string   // of the sources
	dir  string   // takes what is made
	env  []string // of the go command, in addition to this process's
}

// all builds load, and with it inside bottle-probe for each of on.
func (b build) all(ctx context.Context, r gobuild.Release, kills []byte, load []gobuild.Target, on []platform) ([]product, error) {
	var made []product
	inside := make(map[gobuild.Target]string)
	for _, t := range load {
		p, err := b.one(ctx, t)
		if err != nil {
			return nil, err
		}
		inside[t] = p.path
		made = append(made, p)
	}
	pack := filepath.Join(b.dir, "carried")
	if err := os.MkdirAll(pack, 0o700); err != nil {
		return nil, err
	}
	if err := gobuild.Pack(pack, r, inside, kills); err != nil {
		return nil, err
	}
	over, err := b.overlay(pack)
	if err != nil {
		return nil, err
	}
	for _, p := range on {
		probe, err := b.one(ctx, gobuild.Target{Command: "bottle-probe", GOOS: p.os, GOARCH: p.arch}, "-tags="+gobuild.ReleaseTag, "-overlay="+over)
		if err != nil {
			return nil, err
		}
		made = append(made, probe)
	}
	return made, nil
}

// one builds t.
func (b build) one(ctx context.Context, t gobuild.Target, flags ...string) (product, error) {
	p := product{t, filepath.Join(b.dir, t.GOOS+"-"+t.GOARCH, t.Command)}
	cmd := gobuild.BuildCommand(ctx, b.root, t, p.path, flags...)
	cmd.Env = append(cmd.Env, b.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return p, fmt.Errorf("building %s: %w\n%s", p, err, bytes.TrimSpace(out))
	}
	return p, nil
}

// overlay lays the files below pack over the sources for go build, which leaves the tree as it is, and returns the list of them.
func (b build) overlay(pack string) (string, error) {
	replace := make(map[string]string)
	err := filepath.WalkDir(pack, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(pack, path)
		replace[filepath.Join(b.root, filepath.FromSlash(gobuild.CarriedDir), rel)] = path
		return err
	})
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(b.dir, "overlay.json")
	return list, os.WriteFile(list, text, 0o600)
}
