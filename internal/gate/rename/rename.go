// Package rename gives the module another path, for whoever publishes a fork: "bottle.internal" belongs to nobody.
package rename

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bottle.internal/internal/gate/proc"
)

// Module changes the path of the module in root to path, in every text file that git knows or would add: module lines, imports,
// the constant that names the module, documents, settings and recorded outputs. Host names that merely end in the same words
// stay. It returns the files changed, relative to root, and changes none if path is not a module path.
func Module(ctx context.Context, root, path string) ([]string, error) {
	old, err := modulePath(root)
	if err != nil {
		return nil, err
	}
	if err := checkPath(ctx, path); err != nil {
		return nil, fmt.Errorf("rename: %q is no module path: %w", path, err)
	}
	if path == old {
		return nil, fmt.Errorf("rename: the module is %q already", old)
	}
	names, err := files(ctx, root)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, name := range names {
		did, err := rewrite(filepath.Join(root, name), old, path)
		if err != nil {
			return changed, fmt.Errorf("rename: %q: %w", name, err)
		}
		if did {
			changed = append(changed, name)
		}
	}
	return changed, nil
}

func modulePath(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("rename: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return strings.TrimSpace(path), nil
		}
	}
	return "", fmt.Errorf("rename: no module line in %q", filepath.Join(root, "go.mod"))
}

// checkPath lets the go command judge, on a go.mod of its own.
func checkPath(ctx context.Context, path string) error {
	if strings.HasPrefix(path, "-") {
		return errors.New("it starts with a hyphen")
	}
	dir, err := os.MkdirTemp("", "bottle-rename-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module x\n"), 0o600); err != nil {
		return err
	}
	_, err = proc.Output(ctx, dir, []string{"GOFLAGS=", "GOWORK=off"}, "go", "mod", "edit", "-module="+path)
	return err
}

// files are what is tracked and what would be added, so neither .git nor anything ignored.
func files(ctx context.Context, root string) ([]string, error) {
	out, err := proc.Output(ctx, root, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, fmt.Errorf("rename: %w", err)
	}
	names := strings.Split(strings.Trim(out, "\x00"), "\x00")
	slices.Sort(names)
	return slices.Compact(names), nil
}

func rewrite(path, old, to string) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // tracked, and deleted
	}
	if err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	text, err := os.ReadFile(path)
	if err != nil || bytes.IndexByte(text, 0) >= 0 {
		return false, err
	}
	next := Text(string(text), old, to)
	if next == string(text) {
		return false, nil
	}
	return true, os.WriteFile(path, []byte(next), info.Mode().Perm())
}

// Text replaces old by to where old stands as a path of its own or begins one. As a part of a longer host name or word it stays.
func Text(text, old, to string) string {
	var b strings.Builder
	for {
		i := strings.Index(text, old)
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		after := text[i+len(old):]
		b.WriteString(text[:i])
		if startsName(text[:i]) && endsName(after) {
			b.WriteString(to)
		} else {
			b.WriteString(old)
		}
		text = after
	}
}

// startsName reports whether a module path may start behind before.
func startsName(before string) bool {
	return before == "" || !isName(before[len(before)-1]) && !strings.HasSuffix(before, ".") && !strings.HasSuffix(before, "-")
}

// endsName reports whether a module path may end, or go on below a slash, before after. A dot is a sentence's end unless a name
// goes on behind it.
func endsName(after string) bool {
	if after == "" {
		return true
	}
	if c := after[0]; c == '.' || c == '-' {
		return len(after) == 1 || !isName(after[1])
	}
	return !isName(after[0])
}

func isName(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}
