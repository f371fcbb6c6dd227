package bottletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bottle.internal/smolvm"
)

const diagnoseTimeout = 20 * time.Second

// Diagnose writes to w all that is known of the bottle: plan, versions, every process run, the bundle's log, the launch gate's
// report with its canaries' sightings, what smolvm logged of the guest's boot, the guest's routes and resolver, and what an alias exposes of this host now. What could not be asked is said in its place; an error
// is w's only.
func (b *Bottle) Diagnose(ctx context.Context, w io.Writer) error {
	files := b.evidence(ctx)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if _, err := fmt.Fprintf(w, "== %s\n%s\n", name, files[name]); err != nil {
			return err
		}
	}
	return nil
}

// evidence collects the artifacts, a file each.
func (b *Bottle) evidence(ctx context.Context) map[string][]byte {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), diagnoseTimeout)
	defer cancel()
	files := map[string][]byte{
		"plan.json":   b.plan.json(),
		"journal.log": b.journal.bytes(),
	}
	if b.engine != nil {
		files["versions.txt"] = fmt.Appendf(nil, "%s\n%s\n%s\n", b.plan.Engine, b.engine.client.Path, b.runtimeText())
	}
	if rep, err := json.MarshalIndent(b.gate, "", "  "); err == nil {
		files["gate.json"] = rep
	}
	if b.side != nil {
		logs, err := b.side.logs(ctx)
		files["bundle.log"] = orWhyNot(logs, err)
	}
	if b.plan.Topology == Alias {
		files["alias.txt"] = []byte(strings.Join(b.plan.exposedText(), "\n") + "\n")
	}
	if b.engine != nil && b.plan.Machine != "" {
		maps.Copy(files, b.bootLogs(ctx))
		for name, argv := range guestQuestions {
			files[name] = b.ask(ctx, argv)
		}
	}
	return files
}

// bootLogFiles say how the guest came up, or why it did not: smolvm keeps them in the machine's directory (v0.8.0 manager.rs), which
// goes with the machine.
var bootLogFiles = []string{"agent-console.log", "agent-startup-error.log"}

const maxBootLog = 1 << 20 // the end of it

func (b *Bottle) bootLogs(ctx context.Context) map[string][]byte {
	files := map[string][]byte{}
	dir, err := b.engine.client.DataDir(ctx, b.plan.Machine)
	for _, name := range bootLogFiles {
		text, readErr := []byte(nil), err
		if err == nil {
			text, readErr = endOf(filepath.Join(dir, name), maxBootLog)
		}
		if !errors.Is(readErr, fs.ErrNotExist) {
			files[name] = orWhyNot(text, readErr)
		}
	}
	return files
}

// endOf reads the last limit bytes of a file.
func endOf(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-limit), limit))
}

// guestQuestions are answered by files of the guest's, not by programs that its image may lack.
var guestQuestions = map[string][]string{
	"guest-routes.txt":  {"sh", "-c", "cat /proc/net/route /proc/net/ipv6_route; ip route 2>/dev/null; ip rule 2>/dev/null; true"},
	"guest-resolv.conf": {"cat", "/etc/resolv.conf"},
	"guest-sockets.txt": {"sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp; true"},
}

func (b *Bottle) ask(ctx context.Context, argv []string) []byte {
	res, err := b.engine.client.Exec(ctx, b.plan.Machine, smolvm.Command{Argv: argv, Timeout: diagnoseTimeout / 2})
	return orWhyNot(append(res.Stdout, res.Stderr...), err)
}

func orWhyNot(b []byte, err error) []byte {
	if err != nil {
		return fmt.Appendf(b, "(not known: %v)\n", err)
	}
	return b
}

// saveArtifacts writes the evidence below the artifact directory and logs where.
func (b *Bottle) saveArtifacts(ctx context.Context) {
	name := b.plan.Slug
	if name == "" {
		name = b.record.Slug
	}
	if name == "" {
		return // nothing was claimed: the error says it all
	}
	dir := filepath.Join(b.cfg.artifacts(), name)
	err := os.MkdirAll(dir, 0o755)
	for file, content := range b.evidence(ctx) {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, file), content, 0o644))
	}
	if err != nil {
		b.cfg.logf("writing the artifacts: %v", err)
	}
	b.cfg.logf("artifacts: %s", dir)
}
