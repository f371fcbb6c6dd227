package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"bottle.internal/internal/gobuild"
)

// platforms are what bottle-probe is released for.
var platforms = []platform{{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}}

// run writes a release of the sources into the directory out, in the place of what is there. It is left as it is if anything is wrong.
func run(ctx context.Context, out string, w io.Writer) (err error) {
	root, err := gobuild.ModuleDir(ctx)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "bottle-release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	r, kills, err := describe(ctx, root)
	if err != nil {
		return err
	}
	say := teller(w)
	say("bottle-probe %s, commit %s, kit %s", r.Version, r.Commit, r.Kit)
	if kills == nil {
		say("NO RECORD OF KILLS of this kit in %s: no report of this release is L4; go tool mage teeth makes one", killsDir())
	}
	made, err := build{root: root, dir: filepath.Join(work, "first")}.all(ctx, r, kills, carried, platforms)
	if err != nil {
		return err
	}
	say("built; now from a copy of the sources, with an empty cache")
	if err := again(ctx, root, work, r, kills, made); err != nil {
		return err
	}
	say("the same, byte for byte")
	if err := held(ctx, made, say); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	return publish(root, out, r, kills, made, say)
}

// again builds everything a second time and compares.
func again(ctx context.Context, root, work string, r gobuild.Release, kills []byte, first []product) error {
	second := build{root: filepath.Join(work, "sources"), dir: filepath.Join(work, "second"), env: []string{"GOCACHE=" + filepath.Join(work, "cache")}}
	if err := copySources(second.root, root); err != nil {
		return err
	}
	made, err := second.all(ctx, r, kills, carried, platforms)
	if err != nil {
		return err
	}
	return same(first, made)
}

// teller writes lines to w with the time since it was made.
func teller(w io.Writer) func(format string, args ...any) {
	begin := time.Now()
	return func(format string, args ...any) {
		_, _ = fmt.Fprintf(w, "[%4ds] %s\n", int(time.Since(begin).Seconds()), fmt.Sprintf(format, args...))
	}
}
