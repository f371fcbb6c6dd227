package mutants

import (
	"encoding/json"
	"html/template"
	"io"
	"slices"
	"strings"

	"bottle.internal/probes"
)

// WriteJSON writes the matrix as JSON.
func (m Matrix) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(m)
}

// WriteHTML writes the matrix as one page that needs no network: probes down, mutants across, the reason behind each cell.
func (m Matrix) WriteHTML(w io.Writer) error {
	return page.Execute(w, m.view())
}

// A view is what the page shows.
type view struct {
	Kit       string
	Mutants   int
	Rows      []viewRow
	Probes    []viewProbe
	Survivors []string
	Toothless []string
}

type viewRow struct {
	Number      int
	Row         Row
	State       string
	Killed, Red int
	Limits      []string
}

type viewProbe struct {
	ID, Severity string
	Cells        []viewCell
	Kills        int
	Excuse       string
}

type viewCell struct{ Letter, Class, Title string }

func (m Matrix) view() view {
	v := view{Kit: m.Kit, Mutants: m.mutants(), Survivors: m.Survivors(), Toothless: m.Toothless(Exceptions)}
	for i, r := range m.Rows {
		killed, red := r.count()
		v.Rows = append(v.Rows, viewRow{i + 1, r, r.state(), killed, red, r.Limits()})
	}
	kills := m.Kills()
	for _, p := range probes.All() {
		row := viewProbe{ID: p.ID, Severity: string(p.Severity), Kills: len(kills[p.ID])}
		if i := slices.IndexFunc(Exceptions, func(e Exception) bool { return e.Probe == p.ID }); i >= 0 {
			row.Excuse = Exceptions[i].Why
		}
		for _, r := range m.Rows {
			c := r.Cells[p.ID]
			row.Cells = append(row.Cells, viewCell{c.letter(), c.class(), r.Mutant.Name + " on " + r.On.String() + ": " + string(c.Verdict) + " (sound: " + string(c.Sound) + ")\n" + c.Reason})
		}
		v.Probes = append(v.Probes, row)
	}
	return v
}

func (c Cell) class() string {
	switch {
	case c.Killed():
		return "kill"
	case c.Red():
		return "red"
	case c.letter() == "-":
		return "same"
	}
	return "calm"
}

var page = template.Must(template.New("matrix").Funcs(template.FuncMap{"join": strings.Join}).Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Kill matrix</title><style>
:root{color-scheme:light dark}
body{font:14px/1.4 system-ui,sans-serif;margin:1.5em;max-width:none}
table{border-collapse:collapse} th,td{padding:.15em .5em;text-align:left;vertical-align:top}
.grid td.c{padding:0;width:1.3em;height:1.3em;text-align:center;font:12px monospace;border:1px solid #8882}
.kill{background:#c62828;color:#fff;font-weight:bold}.red{background:#ef9a9a;color:#000}.same{color:#888}.calm{color:#8888}
.grid th.m{writing-mode:vertical-rl;transform:rotate(180deg);font-weight:normal;padding:.4em 0;max-height:18em}
.grid tbody th{font:12px monospace;white-space:nowrap;position:sticky;left:0;background:Canvas}
.bad{color:#c62828;font-weight:bold} .ok{color:#2e7d32} .small{font-size:12px;color:#888}
.scroll{overflow-x:auto} details{max-width:70em}
</style></head><body>
<h1>Kill matrix</h1>
<p>{{.Mutants}} bottles broken on purpose, in {{len .Rows}} runs, against {{len .Probes}} probes. Kit <code>{{.Kit}}</code>.
A cell is a kill where the probe found what it finds in no sound bottle; pale red is a probe that could no longer say anything; “-” is what the sound bottle gets too.</p>
{{if .Survivors}}<h2 class="bad">Survivors</h2><ul>{{range .Survivors}}<li>{{.}}</li>{{end}}</ul>{{else}}<p class="ok">No mutant survived.</p>{{end}}
{{if .Toothless}}<h2 class="bad">Critical and high probes without teeth</h2><ul>{{range .Toothless}}<li>{{.}}</li>{{end}}</ul>{{end}}
<div class="scroll"><table class="grid"><thead><tr><th></th>{{range .Rows}}<th class="m">{{.Number}} {{.Row.Mutant.Name}} · {{.Row.On}}</th>{{end}}<th>kills</th><th></th></tr></thead><tbody>
{{range .Probes}}<tr><th title="{{.Severity}}">{{.ID}}</th>{{range .Cells}}<td class="c {{.Class}}" title="{{.Title}}">{{.Letter}}</td>{{end}}<td>{{.Kills}}</td><td class="small">{{.Excuse}}</td></tr>
{{end}}</tbody></table></div>
<h2>Mutants</h2>
{{range .Rows}}<details><summary>{{.Number}} <b>{{.Row.Mutant.Name}}</b> on {{.Row.On}} · {{.Row.Mutant.Kind}} · <span class="{{if or (eq .State "killed") .Row.Refused}}ok{{else}}bad{{end}}">{{.State}}</span> · killed by {{.Killed}}, red {{.Red}}</summary>
<p>{{.Row.Mutant.Breaks}}<br><span class="small">{{.Row.Mutant.Reference}}</span></p>
<ul>{{range .Row.Effect}}<li>took effect: {{.}}</li>{{end}}{{with .Row.Refused}}<li>refused: {{.}}</li>{{end}}{{range .Limits}}<li>known limit: {{.}}</li>{{end}}{{range .Row.Missed}}<li class="bad">{{.}}</li>{{end}}</ul></details>
{{end}}</body></html>
`))
