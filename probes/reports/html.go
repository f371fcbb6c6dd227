package reports

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // for the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"bottle.internal/probes"
)

var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageCSS string
	//go:embed page/page.js
	pageJS string
)

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"symbol": symbol, "shade": shade, "details": details, "state": stateSymbol, "family": family,
	"took": func(us int64) string { return (time.Duration(us) * time.Microsecond).String() },
	"day":  func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
}).Parse(pageHTML))

// A page is what the template shows.
type page struct {
	probes.Report
	Beyond     string
	Counts     []tally
	Families   []kin
	Rows       []row // the worst first, else in the report's order
	Severities []probes.Severity

	Style                 template.CSS
	Script                template.JS
	StyleHash, ScriptHash string
}

// A tally is how many findings have a verdict.
type tally struct {
	Verdict probes.Verdict
	Count   int
}

// Kin are the findings of one family.
type kin struct {
	Family string
	Rows   []row
}

// A row is a finding with what the catalogue says of its probe.
type row struct {
	probes.Finding
	Anchor string // a place of its own on the page, whatever the id
	Family string
	Short  string       // the id without the family
	Probe  probes.Probe // the zero Probe if the catalogue does not have it
}

// WriteHTML writes r as one page that needs nothing else: no network, no file beside it. It can be read without its script, which
// filters and opens what a link leads to, and its content security policy lets nothing but that script run. Errors are w's.
func WriteHTML(w io.Writer, r probes.Report) error {
	r = shown(r)
	p := page{
		Report: r, Beyond: beyond(r), Counts: tallies(r), Severities: severities,
		Style: template.CSS(pageCSS), Script: template.JS(pageJS), // #nosec G203: ours, embedded above
		StyleHash: digest(pageCSS), ScriptHash: digest(pageJS),
	}
	for i, f := range r.Findings {
		p.Rows = append(p.Rows, rowOf(i, f))
	}
	p.Families = kinOf(p.Rows)
	slices.SortStableFunc(p.Rows, func(a, b row) int { return worst(a.Verdict, b.Verdict) })
	return pageTemplate.Execute(w, p)
}

// worst orders the verdict that weighs more before the other.
func worst(a, b probes.Verdict) int {
	switch {
	case a.Worse(b):
		return -1
	case b.Worse(a):
		return 1
	}
	return 0
}

// digest is how a content security policy names an inline text.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func rowOf(i int, f probes.Finding) row {
	fam := family(f.ID)
	short := strings.TrimPrefix(strings.TrimPrefix(f.ID, fam), ".")
	return row{Finding: f, Anchor: fmt.Sprintf("finding-%d", i+1), Family: fam, Short: cmp.Or(short, f.ID), Probe: catalogue()[f.ID]}
}

func kinOf(rows []row) []kin {
	byFamily := make(map[string]int)
	var all []kin
	for _, r := range rows {
		i, ok := byFamily[r.Family]
		if !ok {
			i = len(all)
			byFamily[r.Family] = i
			all = append(all, kin{Family: r.Family})
		}
		all[i].Rows = append(all[i].Rows, r)
	}
	return all
}

// tallies count the findings of every verdict, those of none and of unknown ones under error, from the worst. What there is none of
// is counted too: "leak 0" is what people look for.
func tallies(r probes.Report) []tally {
	var all []tally
	for _, v := range probes.Verdicts() {
		t := tally{Verdict: v}
		for _, f := range r.Findings {
			if shade(f.Verdict) == v {
				t.Count++
			}
		}
		all = append(all, t)
	}
	return all
}

// shade is v, or error for a verdict that is none of ours.
func shade(v probes.Verdict) probes.Verdict {
	if slices.Contains(probes.Verdicts(), v) {
		return v
	}
	return probes.Error
}

// symbols tell verdicts apart where colours do not.
var symbols = map[probes.Verdict]string{
	probes.Leak: "✗", probes.Overblocked: "⊘", probes.Error: "!", probes.Inconclusive: "?", probes.Exposed: "◐", probes.Contained: "✓", probes.NotApplicable: "–",
}

func symbol(v probes.Verdict) string { return symbols[shade(v)] }

func stateSymbol(s probes.State) string {
	switch s {
	case probes.Held:
		return "✓"
	case probes.Failed:
		return "✗"
	}
	return "○"
}
