package probecli

import (
	"bytes"
	"io"
	"os"
	"strings"

	"bottle.internal/probes"
)

// colours are those of the verdicts at the beginning of a table's lines.
var colours = map[probes.Verdict]string{
	probes.Leak: "\x1b[1;31m", probes.Overblocked: "\x1b[1;31m", probes.Error: "\x1b[1;35m", probes.Inconclusive: "\x1b[33m",
	probes.Exposed: "\x1b[36m", probes.Contained: "\x1b[32m", probes.NotApplicable: "\x1b[2m",
}

const plainAgain = "\x1b[0m"

// painted is standard output, with colours if a person looks at it: on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is
// called dumb.
func (s *settings) painted() io.Writer {
	f, ok := s.stdout.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return s.stdout
	}
	if in, err := f.Stat(); err != nil || in.Mode()&os.ModeCharDevice == 0 {
		return s.stdout
	}
	return &painter{to: s.stdout}
}

// painter colours the verdict that a line begins with.
type painter struct {
	to   io.Writer
	line []byte // what has come of a line whose end has not
}

func (p *painter) Write(b []byte) (int, error) {
	p.line = append(p.line, b...)
	for {
		end := bytes.IndexByte(p.line, '\n')
		if end < 0 {
			return len(b), nil
		}
		if _, err := io.WriteString(p.to, paint(string(p.line[:end+1]))); err != nil {
			return 0, err
		}
		p.line = p.line[end+1:]
	}
}

func paint(line string) string {
	for verdict, colour := range colours {
		if rest, ok := strings.CutPrefix(line, strings.ToUpper(string(verdict))+" "); ok {
			return colour + strings.ToUpper(string(verdict)) + plainAgain + " " + rest
		}
	}
	return line
}
