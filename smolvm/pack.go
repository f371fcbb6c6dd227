package smolvm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// PackOptions say what goes into a pack and where it is put. One of Image and FromMachine is to be set, and Output.
type PackOptions struct {
	// Image is a registry reference, pulled in a guest made for it: that takes a registry that the guest reaches. No release up to 1.9.3
	// packs a tar or a directory.
	Image string
	// FromMachine names a stopped machine whose disk is packed.
	FromMachine string
	// Output is the path to write to. With or without the suffix ".smolmachine", the pack has it; beside the pack smolvm puts a program
	// of the same name without it. The directory must exist, and must not be smolvm's own.
	Output string
	// CPUs and MemoryMiB are what machines from the pack get by default; 0 is smolvm's default, 4 and 8192.
	CPUs, MemoryMiB int
	// Platform is the image's, "linux/arm64"; "" is the guest's.
	Platform string
}

// packSuffix ends the name of every pack.
const packSuffix = ".smolmachine"

const packLimit = 30 * time.Minute // boots a guest, pulls in it, copies the layers out

// PackCreate makes a pack and returns its absolute path, which CreateOptions.From takes. What is there is replaced.
//
// ErrInvalid, before anything is made: the options contradict each other, the directory is not there, or it is smolvm's own: a program
// with a pack beside it acts as that pack, so the next call would not reach smolvm. ErrNotFound, ErrState (the machine runs), ErrBoot.
// Packs carry no egress policy.
func (c *Client) PackCreate(ctx context.Context, o PackOptions) (string, error) {
	if err := o.check(); err != nil {
		return "", fmt.Errorf("making a pack: %w", err)
	}
	if _, err := c.release(ctx); err != nil {
		return "", err
	}
	stub, err := filepath.Abs(strings.TrimSuffix(o.Output, packSuffix))
	if err == nil {
		err = c.checkOutput(stub)
	}
	if err != nil {
		return "", fmt.Errorf("making a pack: %w: %w", ErrInvalid, err)
	}
	o.Output = stub
	out, err := c.run(ctx, call{argv: packCreateArgs(o), limit: packLimit, apart: true})
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(stub + packSuffix); err != nil || !info.Mode().IsRegular() {
		return "", out.failure(errors.Join(fmt.Errorf("there is no pack at %q", stub+packSuffix), err))
	}
	return stub + packSuffix, nil
}

// checkOutput keeps packs away from the program: v0.8.0 main.rs looks for <program>.smolmachine before it looks at its arguments.
func (c *Client) checkOutput(stub string) error {
	program, err := c.program()
	if err != nil {
		return err
	}
	into, err := os.Stat(filepath.Dir(stub))
	if err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(program); err == nil && target != program {
		program = target
	}
	for _, dir := range []string{filepath.Dir(c.path), filepath.Dir(program)} {
		if beside, err := os.Stat(dir); err == nil && os.SameFile(into, beside) {
			return fmt.Errorf("%q is in the directory of smolvm itself, which would take a pack there for its own", stub)
		}
	}
	if info, err := os.Lstat(stub); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%q is there and is no file", stub)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

var platformName = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$`)

func (o PackOptions) check() error {
	base := strings.TrimSuffix(filepath.Base(o.Output), packSuffix)
	switch {
	case (o.Image == "") == (o.FromMachine == ""):
		return fmt.Errorf("%w: image %q, machine %q: want one of them", ErrInvalid, o.Image, o.FromMachine)
	case o.FromMachine != "" && checkName(o.FromMachine) != nil:
		return checkName(o.FromMachine)
	case strings.HasPrefix(o.Image, "-"), isLocalImage(o.Image):
		return fmt.Errorf("%w: image %q: want a registry reference", ErrInvalid, o.Image)
	case o.Output == "", base == "", base == ".", base == "..", strings.HasSuffix(o.Output, "/"):
		return fmt.Errorf("%w: output %q: want the path of a file", ErrInvalid, o.Output)
	case o.CPUs < 0 || o.MemoryMiB < 0:
		return fmt.Errorf("%w: %d CPUs, %d MiB", ErrInvalid, o.CPUs, o.MemoryMiB)
	case o.Platform != "" && !platformName.MatchString(o.Platform):
		return fmt.Errorf("%w: platform %q: want one such as \"linux/arm64\"", ErrInvalid, o.Platform)
	}
	return errors.Join(checkText("image", o.Image), checkText("output", o.Output))
}
