package reports

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"bottle.internal/internal/golden"
	"bottle.internal/probes"
)

func TestTAPGolden(t *testing.T) {
	staticCatalogue(t)
	golden.File(t, "report.tap", rendered(t, WriteTAP, specimen()))
}

// A point is a test point as a TAP 14 consumer reads it.
type point struct {
	ok        bool
	name      string
	directive string // "", "SKIP" or "TODO"
	diagnosis map[string]any
}

// red reports whether a harness counts the point as a failure.
func (p point) red() bool { return !p.ok && p.directive != "TODO" }

var pointLine = regexp.MustCompile(`^(ok|not ok) (\d+) - (.*)$`)

// readTAP reads TAP 14 strictly: any line that is none is an error, and so is a number out of turn or a plan that is not kept.
func readTAP(t *testing.T, b []byte) []point {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if lines[0] != "TAP version 14" {
		t.Fatalf("it begins with %q", lines[0])
	}
	var all []point
	for i := 2; i < len(lines); i++ {
		m := pointLine.FindStringSubmatch(lines[i])
		switch {
		case strings.HasPrefix(lines[i], "# "):
		case m != nil && m[2] == strconv.Itoa(len(all)+1):
			p := point{ok: m[1] == "ok"}
			p.name, p.directive = splitDirective(m[3])
			all = append(all, p)
		case lines[i] == "  ---" && len(all) > 0:
			var block []string
			for i++; i < len(lines) && lines[i] != "  ..."; i++ {
				block = append(block, strings.TrimPrefix(lines[i], "  "))
			}
			if err := yaml.Unmarshal([]byte(strings.Join(block, "\n")), &all[len(all)-1].diagnosis); err != nil {
				t.Fatalf("%s: %v", all[len(all)-1].name, err)
			}
		default:
			t.Fatalf("line %d is no TAP: %q", i+1, lines[i])
		}
	}
	if lines[1] != fmt.Sprintf("1..%d", len(all)) {
		t.Fatalf("the plan is %q, and there are %d points", lines[1], len(all))
	}
	return all
}

// splitDirective finds the first "#" that is not escaped, and the word behind it.
func splitDirective(s string) (name, directive string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '#':
			word, _, _ := strings.Cut(strings.TrimSpace(s[i+1:]), " ")
			return strings.TrimSuffix(b.String(), " "), strings.ToUpper(word)
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}

func TestTAPReadBack(t *testing.T) {
	r := specimen()
	r.Findings = append(r.Findings, probes.Finding{ID: "a.b", Verdict: "green"}, probes.Finding{ID: "a.c"})
	points := readTAP(t, rendered(t, WriteTAP, r))
	for i, f := range r.Findings {
		p := points[i]
		if p.name != f.ID || p.red() != !green(f.Verdict) || p.diagnosis["message"] != f.Reason || p.diagnosis["verdict"] != string(f.Verdict) {
			t.Errorf("%s %s: %+v", f.ID, f.Verdict, p)
		}
		if (p.directive == "SKIP") != (f.Verdict == probes.NotApplicable) || (p.directive == "TODO") != (f.Verdict == probes.Exposed) {
			t.Errorf("%s %s: directive %q", f.ID, f.Verdict, p.directive)
		}
		if controls, _ := p.diagnosis["controls"].([]any); len(controls) != len(f.Controls) {
			t.Errorf("%s: controls %v", f.ID, controls)
		}
	}
}

func TestTAPOfNothing(t *testing.T) {
	points := readTAP(t, rendered(t, WriteTAP, probes.Report{}))
	if len(points) != 1 || !points[0].red() {
		t.Errorf("%+v", points)
	}
}

// Whatever the guest prints, it makes no point of its own, skips none and closes no block.
func TestTAPStaysWhole(t *testing.T) {
	for _, p := range payloads {
		points := readTAP(t, rendered(t, WriteTAP, hostile(p)))
		if len(points) != 3 {
			t.Errorf("%q: %d points", p, len(points))
		}
		for _, point := range points {
			if !point.red() {
				t.Errorf("%q: %+v", p, point)
			}
		}
		if want := printable(p); points[0].name != want || points[0].diagnosis["message"] != want {
			t.Errorf("%q came out as %q and %q", p, points[0].name, points[0].diagnosis["message"])
		}
	}
	exposed := hostile("# SKIP\nok 9")
	for i := range exposed.Findings {
		exposed.Findings[i].Verdict = probes.Exposed
	}
	if points := readTAP(t, rendered(t, WriteTAP, exposed)); points[0].directive != "TODO" {
		t.Errorf("%+v", points[0])
	}
}
