package profiles

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a profile, in bytes.
const maxFile = 1 << 20

// ErrProfile says that a file is no profile; the error names each line that is wrong.
var ErrProfile = errors.New("profiles: not a profile")

// Load reads a profile from a YAML file. It is strict: a key that is not known, a waiver that lacks a field, a word that is none of
// ours is an error, ErrProfile, with its line. A file that cannot be read is the error of os.
func Load(path string) (Profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return Profile{}, fmt.Errorf("profiles: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Profile{}, fmt.Errorf("profiles: %w", err)
	}
	return parse(path, b)
}

// parse reads what is in the file path.
func parse(path string, b []byte) (Profile, error) {
	d, err := decode(b)
	if err != nil {
		return Profile{}, fmt.Errorf("%w: %q: %w", ErrProfile, path, err)
	}
	p, problems := d.profile()
	if len(problems) > 0 {
		return Profile{}, fmt.Errorf("%w: %q: %s", ErrProfile, path, strings.Join(problems, "; "))
	}
	return p, nil
}

// A text is a scalar as it stands in the file. The zero text is one that is not there.
type text struct {
	value string
	line  int
}

// UnmarshalYAML takes any scalar but null, which counts as not there.
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: want a word or a text", n.Line)}}
	}
	t.value, t.line = n.Value, n.Line
	return nil
}

// problem is a text about t.
func (t text) problem(format string, args ...any) string {
	return fmt.Sprintf("line %d: %s", t.line, fmt.Sprintf(format, args...))
}

func decode(b []byte) (document, error) {
	if len(b) > maxFile {
		return document{}, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var d document
	switch err := dec.Decode(&d); {
	case errors.Is(err, io.EOF):
		return document{}, errors.New("it is empty")
	case err != nil:
		return document{}, plain(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return document{}, errors.New("it holds more than one document")
	}
	return d, nil
}

// plain takes the names of our types out of what the YAML library says.
func plain(err error) error {
	wrong, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		return err
	}
	var all []string
	for _, line := range wrong.Errors {
		line, _, _ = strings.Cut(line, " in type ")
		line, _, _ = strings.Cut(line, " into ")
		all = append(all, line)
	}
	return errors.New(strings.Join(all, "; "))
}
