package probecli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"bottle.internal/probes"
)

func newExplain(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID...",
		Short: "Say what a probe tries, why it matters, and what to do when it is red",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, ids []string) error {
			found, err := probes.Select(ids...)
			if err != nil {
				return usage(err)
			}
			if s.json() {
				return json.NewEncoder(s.stdout).Encode(found)
			}
			for i, p := range found {
				if i > 0 {
					fmt.Fprintln(s.stdout)
				}
				fmt.Fprint(s.stdout, p.Explain())
			}
			return nil
		},
	}
}
