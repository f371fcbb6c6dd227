package probecli

import (
	"fmt"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
)

func newSweep(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "sweep",
		Short: "Remove what killed runs left behind, and nothing that is alive",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			removed, err := bottletest.Sweep(cmd.Context())
			for _, name := range removed {
				fmt.Fprintf(s.stdout, "removed %s\n", name)
			}
			if err == nil && len(removed) == 0 {
				fmt.Fprintln(s.stdout, "nothing was left behind")
			}
			return err
		},
	}
}
