package probecli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
	"bottle.internal/probes"
)

func newPlan(s *settings) *cobra.Command {
	var sel selection
	var f launchFlags
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what run would launch and ask, and launch nothing",
		Long:  "plan chooses engines, names and addresses as run does, and makes no network, container or machine.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ids, err := sel.ids()
			if err != nil {
				return usage(err)
			}
			return s.plan(cmd.Context(), f, ids)
		},
	}
	sel.flags(cmd)
	f.flags(cmd)
	return cmd
}

// A dryRun is what plan writes.
type dryRun struct {
	Plan bottletest.Plan `json:"plan"`
	// Probes are those that mean something on the plan's backend; Elsewhere those that do not.
	Probes    []string `json:"probes"`
	Elsewhere []string `json:"elsewhere"`
}

func (s *settings) plan(ctx context.Context, f launchFlags, ids []string) error {
	p, err := bottletest.DryRun(ctx, f.config(s))
	if err != nil {
		return err
	}
	selected, err := probes.Select(ids...)
	if err != nil {
		return err
	}
	d := dryRun{Plan: p}
	for _, probe := range selected {
		if probe.On(string(p.Backend)) {
			d.Probes = append(d.Probes, probe.ID)
		} else {
			d.Elsewhere = append(d.Elsewhere, probe.ID)
		}
	}
	if s.json() {
		return writeJSON(s.stdout, d)
	}
	fmt.Fprint(s.stdout, d.Plan)
	fmt.Fprintf(s.stdout, "%-10s %d of %d, with canaries on this host for those that dial it\n", "probes", len(d.Probes), len(selected))
	for _, id := range d.Elsewhere {
		fmt.Fprintf(s.stdout, "%-10s %s means nothing on %s\n", "", id, d.Plan.Backend)
	}
	return nil
}
