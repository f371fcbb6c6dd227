// Command gallery probes sandboxes that many people have, and writes docs/gallery.md: what of each was found, by family of probes. It needs
// a Linux, as root or where user namespaces are free, and probes what is installed. What is known of a sandbox is asked for: if a verdict
// does not agree with it, the command fails.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"bottle.internal/bottletest"
	"bottle.internal/bundle"
	"bottle.internal/internal/target"
	"bottle.internal/probes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, "docs/gallery.md"); err != nil {
		fmt.Fprintln(os.Stderr, "gallery:", err)
		stop()
		os.Exit(1)
	}
}

// limit bounds the probing of one sandbox.
const limit = 2 * time.Minute

// run probes every exhibit and writes the page. The page is written even if something disagrees, so that one can look.
func run(ctx context.Context, path string) error {
	image, err := bundleImage(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no containers:", err)
	}
	var shown []exhibit
	var wrong []error
	for _, e := range exhibits(image) {
		fmt.Fprintf(os.Stderr, "%-32s ", e.name)
		e.probe(ctx)
		fmt.Fprintln(os.Stderr, e.summary())
		shown = append(shown, e)
		wrong = append(wrong, e.disagrees())
	}
	return errors.Join(append(wrong, os.WriteFile(path, []byte(page(shown)), 0o644))...) //nolint:gosec // a page of the documentation
}

func bundleImage(ctx context.Context) (string, error) {
	engine, err := bundle.Detect(ctx)
	if err != nil {
		return "", err
	}
	return bundle.Image(ctx, engine)
}

// An exhibit is a sandbox with what is known of it and what was found.
type exhibit struct {
	name   string
	prefix []string // of a command in it; or
	docker []string // arguments of docker run before the image
	image  string
	// known is what the configuration is known to do, by probe.
	known map[string]probes.Verdict
	why   string

	report probes.Report
	absent string // why it was not probed
}

func (e *exhibit) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var err error
	if e.prefix != nil {
		err = e.behind(ctx)
	} else {
		err = e.container(ctx)
	}
	if err != nil {
		e.absent, _, _ = strings.Cut(err.Error(), "\n")
	}
}

func options() target.Options { return target.Options{Passing: bottletest.Gateways()} }

func (e *exhibit) behind(ctx context.Context) error {
	if _, err := exec.LookPath(e.prefix[0]); err != nil {
		return err
	}
	box, err := target.Behind(ctx, e.prefix, options())
	if err != nil {
		return err
	}
	return e.ask(ctx, box)
}

func (e *exhibit) container(ctx context.Context) error {
	if e.image == "" {
		return errors.New("no container engine answers")
	}
	out, err := exec.CommandContext(ctx, "docker", append(append([]string{"run", "-d"}, e.docker...), e.image)...).CombinedOutput() //nolint:gosec // a table's words
	id, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		return fmt.Errorf("docker run: %s: %w", lastLine(string(out)), err)
	}
	defer func() { _ = exec.CommandContext(context.WithoutCancel(ctx), "docker", "rm", "-f", id).Run() }() //nolint:gosec // what was just made
	box, err := target.Container(ctx, id, options())
	if err != nil {
		return err
	}
	return e.ask(ctx, box)
}

func (e *exhibit) ask(ctx context.Context, box *target.Sandbox) error {
	var err error
	e.report, err = box.Probe(ctx, probes.Options{})
	return errors.Join(err, box.Close(context.WithoutCancel(ctx)))
}

// disagrees is what was found against what is known.
func (e *exhibit) disagrees() error {
	if e.absent != "" {
		return nil
	}
	var errs []error
	for id, want := range e.known {
		f, err := e.report.Finding(id)
		if err == nil && f.Verdict != want {
			err = fmt.Errorf("%s: %s is %s, and is known to be %s: %s", e.name, id, f.Verdict, want, f)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (e *exhibit) summary() string {
	if e.absent != "" {
		return "not probed: " + e.absent
	}
	return fmt.Sprintf("%s, %d probes in %d ms", e.report.Worst(), len(e.report.Findings), e.report.ElapsedMS)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, l := range lines {
		if strings.Contains(l, "Error response") {
			return l
		}
	}
	return lines[len(lines)-1]
}
