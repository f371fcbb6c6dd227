package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"

	"bottle.internal/internal/gobuild"
)

// describe says what is released: which version of which sources, and what this host has on record of the kit's teeth, nil if nothing.
func describe(ctx context.Context, root string) (gobuild.Release, []byte, error) {
	kit, err := gobuild.Kit(ctx)
	if err != nil {
		return gobuild.Release{}, nil, err
	}
	r := gobuild.Release{Version: version(git(ctx, root, "describe", "--tags", "--match=v[0-9]*", "--dirty"), git(ctx, root, "describe", "--always", "--dirty", "--exclude=*")),
		Commit: git(ctx, root, "rev-parse", "HEAD"), Kit: kit}
	dir, err := gobuild.Kills()
	if err != nil {
		return r, nil, nil // no cache, no record
	}
	kills, err := fs.ReadFile(dir, kit+".json")
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil, nil
	}
	return r, kills, err
}

// version is that of a tag, such as v1.2.3 or v1.2.3-4-gabcdef, or else of a commit.
func version(tag, commit string) string {
	switch {
	case tag != "":
		return strings.TrimPrefix(tag, "v")
	case commit != "":
		return "0.0.0-" + commit
	}
	return "0.0.0-unknown"
}

// git is what git says, "" if it says nothing: sources without their history can be released too.
func git(ctx context.Context, root string, args ...string) string {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// killsDir is where a record of kills would be, for people.
func killsDir() string {
	dir, err := gobuild.KillsDir()
	if err != nil {
		return fmt.Sprintf("any cache (%v)", err)
	}
	return dir
}
