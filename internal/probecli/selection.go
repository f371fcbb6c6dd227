package probecli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"bottle.internal/probes"
)

// A selection says which probes are run. The zero selection is all.
type selection struct{ only, skip []string }

func (s *selection) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&s.only, "only", nil, "run only these probes: an id, a pattern such as 'net.tcp.*', a family such as net.dns, or a severity such as critical")
	cmd.Flags().StringSliceVar(&s.skip, "skip", nil, "leave these out, named likewise")
}

// errNothingLeft says that a selection has no probe in it.
var errNothingLeft = errors.New("--only and --skip leave no probe to run")

// ids are the probes selected, in the catalogue's order; nil is all.
func (s selection) ids() ([]string, error) {
	if len(s.only) == 0 && len(s.skip) == 0 {
		return nil, nil
	}
	wanted, err := matching(s.only)
	if err != nil {
		return nil, err
	}
	unwanted, err := matching(s.skip)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range probes.All() {
		if (len(s.only) == 0 || wanted[p.ID]) && !unwanted[p.ID] {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) == 0 {
		return nil, errNothingLeft
	}
	return ids, nil
}

// matching are the probes that any of terms names. A term that names none is an error: it is a misspelling.
func matching(terms []string) (map[string]bool, error) {
	found := make(map[string]bool)
	for _, term := range terms {
		named := 0
		for _, p := range probes.All() {
			if p.Family == term || string(p.Severity) == term || strings.HasPrefix(p.Family, term+".") {
				found[p.ID] = true
				named++
			}
		}
		if named > 0 {
			continue
		}
		selected, err := probes.Select(term)
		if err != nil {
			return nil, fmt.Errorf("%w (nor is it a family or a severity; see: bottle-probe list)", err)
		}
		for _, p := range selected {
			found[p.ID] = true
		}
	}
	return found, nil
}
