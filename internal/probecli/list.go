package probecli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bottle.internal/probes"
)

func newList(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the probes",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return s.list(probes.All()) },
	}
}

func (s *settings) list(all []probes.Probe) error {
	if s.json() {
		enc := json.NewEncoder(s.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSEVERITY\tEXPECTED\tWHAT IS TRIED")
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.ID, p.Severity, p.Expect, p.What)
	}
	return w.Flush()
}
