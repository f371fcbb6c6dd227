package reports

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/probes"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"plain – text ✓ `µs` \\ ":   "plain – text ✓ `µs` \\ ",
		"a\nb\tc\r":                 `a\nb\tc\r`,
		"\x1b[2J\x00\x7f\u0085":     `\x1b[2J\x00\x7f\u0085`,
		"\u202eabc\u2066\ufeff":     `\u202eabc\u2066\ufeff`,
		"\u2028 \u00a0":             `\u2028 \u00a0`,
		"\xff\xfe":                  "\ufffd",
		"\xff\n":                    "\ufffd" + `\n`,
		"it's \"quoted\"\U0001f600": "it's \"quoted\"\U0001f600",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// No text of a report is left out, wherever it stands and whoever adds it.
func TestShownReachesEveryText(t *testing.T) {
	const payload = "\x1b[2J\u202e"
	before := hostile(payload)
	after := shown(before)
	texts := 0
	var walk func(reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			if texts++; strings.Contains(v.String(), "\x1b") || strings.Contains(v.String(), "\u202e") {
				t.Errorf("a text is as it was: %q", v.String())
			}
		case reflect.Pointer:
			walk(v.Elem())
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Map, reflect.Interface, reflect.Array:
			t.Errorf("shown does not know of a %s", v.Type())
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		}
	}
	walk(reflect.ValueOf(after))
	if texts < 100 {
		t.Errorf("%d texts seen: this test looks in the wrong place", texts)
	}
	if zone := after.Findings[1].Attempts[1].Address.Addr().Zone(); zone != `\x1b[2J\u202e` {
		t.Errorf("zone %q", zone)
	}
	if diff := cmp.Diff(hostile(payload), before, addresses); diff != "" {
		t.Errorf("shown changed its argument:\n%s", diff)
	}
}

func TestShownLeavesPlainReportsAlone(t *testing.T) {
	if diff := cmp.Diff(specimen(), shown(specimen()), addresses); diff != "" {
		t.Error(diff)
	}
}

func TestBeyond(t *testing.T) {
	for _, c := range []struct {
		report probes.Report
		red    bool
	}{
		{probes.Report{}, true},
		{probes.Report{Findings: []probes.Finding{{Verdict: probes.NotApplicable}}}, true},
		{probes.Report{Findings: []probes.Finding{{Verdict: probes.Contained}}}, false},
		{probes.Report{Findings: []probes.Finding{{Verdict: probes.Exposed}}}, false},
		{probes.Report{Findings: []probes.Finding{{Verdict: probes.Contained}}, Invalid: "half of it is inconclusive"}, true},
		{probes.Report{Findings: []probes.Finding{{Verdict: "green"}}}, false}, // the finding itself is red
		{probes.Report{Findings: []probes.Finding{{Verdict: probes.Inconclusive}}}, false},
	} {
		if got := beyond(c.report); (got != "") != c.red {
			t.Errorf("%+v: %q", c.report, got)
		}
	}
}
