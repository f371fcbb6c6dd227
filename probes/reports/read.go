package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"bottle.internal/probes"
)

// maxReport bounds a report, in bytes. The whole catalogue's has about 300 KiB.
const maxReport = 64 << 20

// ErrReport says that what was read is not a report that this version of the kit can stand for.
var ErrReport = errors.New("reports: not a report")

// Read reads a report in the JSON form that probes.Report has. It is strict: another schema, a field or a word that is not known,
// a key that occurs twice or is spelled in another case, a probe that occurs twice, anything behind the report, or more than 64 MiB are ErrReport, because what is skipped over could be
// what makes the report red. A failing reader's error is wrapped. It does not close in.
func Read(in io.Reader) (probes.Report, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxReport+1))
	if err != nil {
		return probes.Report{}, fmt.Errorf("reports: %w", err)
	}
	if len(b) > maxReport {
		return probes.Report{}, fmt.Errorf("%w: it has more than %d bytes", ErrReport, maxReport)
	}
	r, err := decode(b)
	if err != nil {
		return probes.Report{}, fmt.Errorf("%w: %w", ErrReport, err)
	}
	return r, nil
}

func decode(b []byte) (probes.Report, error) {
	// The schema comes first: of a newer one every new field would be reported instead of the reason for all of them.
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(b, &head); err != nil { // nothing stands behind the one value
		return probes.Report{}, err
	}
	if head.Schema != probes.Schema {
		return probes.Report{}, fmt.Errorf("its schema is %d, and this version of the kit reads %d", head.Schema, probes.Schema)
	}
	if err := checkKeys(b); err != nil {
		return probes.Report{}, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var r probes.Report
	if err := d.Decode(&r); err != nil {
		return probes.Report{}, err
	}
	return r, check(r.Findings)
}

var (
	expectations = []probes.Expect{probes.Contain, probes.Reach}
	severities   = []probes.Severity{probes.Critical, probes.High, probes.Medium, probes.Low, probes.Info}
	levels       = []probes.Assurance{"", probes.L0, probes.L1, probes.L2, probes.L3, probes.L4}
)

// check finds what the judge does not write.
func check(all []probes.Finding) error {
	ids := make(map[string]bool)
	for i, f := range all {
		switch {
		case f.ID == "":
			return fmt.Errorf("finding %d has no id", i)
		case ids[f.ID]:
			return fmt.Errorf("%q occurs twice", f.ID)
		case !slices.Contains(probes.Verdicts(), f.Verdict):
			return fmt.Errorf("%q: %q is no verdict", f.ID, f.Verdict)
		case !slices.Contains(expectations, f.Expect):
			return fmt.Errorf("%q: %q is no expectation", f.ID, f.Expect)
		case !slices.Contains(severities, f.Severity):
			return fmt.Errorf("%q: %q is no severity", f.ID, f.Severity)
		case !slices.Contains(levels, f.Assurance):
			return fmt.Errorf("%q: %q is no level of assurance", f.ID, f.Assurance)
		}
		ids[f.ID] = true
	}
	return nil
}
