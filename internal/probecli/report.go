package probecli

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"bottle.internal/probes/reports"
)

func newReport(s *settings) *cobra.Command {
	var j judgement
	cmd := &cobra.Command{
		Use:         "report REPORT.json",
		Short:       "Write a report in another format, or hold it against a profile",
		Example:     "  bottle-probe report run.json -o run.html -o run.sarif",
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{reporting: "true"},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := j.check(); err != nil {
				return err
			}
			rep, err := readReport(args[0])
			if err != nil {
				return usage(err)
			}
			if rep, err = s.apply(j, rep); err != nil {
				return err
			}
			return s.print(rep)
		},
	}
	cmd.Flags().StringVar(&j.profile, "profile", "", profileHelp())
	cmd.Flags().StringVar(&j.waivers, "waivers", "", "path of a YAML profile whose waivers are taken besides")
	cmd.Flags().BoolVar(&j.strict, "strict", false, "demand of each contained finding the assurance that profile strict wants for its severity")
	return cmd
}

func newDiff(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "diff OLD.json NEW.json",
		Short: "Compare two reports: regressed, fixed, new, gone, assurance dropped",
		Long:  "diff exits 1 if anything is worse in NEW: a probe that is gone and one whose assurance dropped count as worse.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			old, err := readReport(args[0])
			if err != nil {
				return usage(err)
			}
			rep, err := readReport(args[1])
			if err != nil {
				return usage(err)
			}
			d := reports.Diff(old, rep)
			if s.json() {
				err = json.NewEncoder(s.stdout).Encode(d)
			} else {
				err = d.Write(s.stdout)
			}
			if err != nil {
				return err
			}
			return exitWith(d.ExitCode())
		},
	}
}
