package probecli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bottle.internal/probes"
	"bottle.internal/probes/reports"
)

// A rendering writes a report in one format.
type rendering func(w io.Writer, r probes.Report) error

// renderings are the formats of a report, by their names.
var renderings = map[string]rendering{
	"table": func(w io.Writer, r probes.Report) error { return r.Write(w) },
	"json":  func(w io.Writer, r probes.Report) error { return writeJSON(w, r) },
	"junit": reports.WriteJUnit,
	"sarif": reports.WriteSARIF,
	"tap":   reports.WriteTAP,
	"html":  reports.WriteHTML,
}

// extensions are the formats of files.
var extensions = map[string]string{
	".txt": "table", ".json": "json", ".xml": "junit", ".sarif": "sarif", ".tap": "tap", ".html": "html", ".htm": "html",
}

// formats are the names of renderings.
const formats = "table, json, junit, sarif, tap or html"

// A sink is where a report goes to, and in which format.
type sink struct {
	format string
	path   string // "" is standard output
}

// parseSink reads the value of --output: a format, or a file whose extension has one.
func parseSink(value string) (sink, error) {
	if renderings[value] != nil {
		return sink{format: value}, nil
	}
	if format := extensions[strings.ToLower(filepath.Ext(value))]; format != "" {
		return sink{format, value}, nil
	}
	return sink{}, fmt.Errorf("--output %q: want %s, or a file that ends in .txt, .json, .xml (junit), .sarif, .tap or .html", value, formats)
}

// sinks are all of --output. At most one of them is standard output; where none is, that gets the table.
func (s *settings) sinks() ([]sink, error) {
	all := make([]sink, 0, len(s.outputs)+1)
	onStdout := 0
	for _, v := range s.outputs {
		out, err := parseSink(v)
		if err != nil {
			return nil, err
		}
		if out.path == "" {
			onStdout++
		}
		all = append(all, out)
	}
	switch {
	case onStdout > 1:
		return nil, fmt.Errorf("--output %s: only one of them can go to standard output; name files for the others, such as report.html", strings.Join(s.outputs, ", "))
	case onStdout == 0:
		all = append(all, sink{format: "table"})
	}
	return all, nil
}

// json reports whether a command that writes no report is to write JSON.
func (s *settings) json() bool { return slices.Contains(s.outputs, "json") }

// plainOutput refuses what only a report can be written as.
func (s *settings) plainOutput() error {
	for _, v := range s.outputs {
		if v != "table" && v != "json" {
			return usage(fmt.Errorf("--output %q: this command writes table or json", v))
		}
	}
	return nil
}

// write renders the report wherever it is to go.
func (s *settings) write(rep probes.Report) error {
	all, err := s.sinks()
	if err != nil {
		return usage(err)
	}
	var errs []error
	for _, out := range all {
		errs = append(errs, s.render(out, rep))
	}
	return errors.Join(errs...)
}

func (s *settings) render(out sink, rep probes.Report) error {
	if out.path != "" {
		return toFile(out.path, func(w io.Writer) error { return renderings[out.format](w, rep) })
	}
	if out.format == "table" {
		return rep.Write(s.painted())
	}
	return renderings[out.format](s.stdout, rep)
}

// toFile writes a file as a whole or not at all.
func toFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// print writes the report and turns its worst verdict into the exit code.
func (s *settings) print(rep probes.Report) error {
	if err := s.write(rep); err != nil {
		return err
	}
	return exitWith(rep.ExitCode())
}

// exitWith is the error for an exit code of which the output has said why.
func exitWith(code int) error {
	if code == ExitClean {
		return nil
	}
	return &exitError{code: code}
}
