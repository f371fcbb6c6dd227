package probecli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
)

func newPrepare(s *settings) *cobra.Command {
	var offline, asJSON bool
	cmd := &cobra.Command{
		Use:   "prepare IMAGE",
		Short: "Have an image ready to launch bottles from",
		Long: "prepare makes the pack that smolvm boots of IMAGE, a registry reference or the path of an image archive, unless the cache has\n" +
			"it, and prints where it is. run --image IMAGE does the same before it launches.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usage(fmt.Errorf("no image is named; see: %s --help", cmd.CommandPath()))
			}
			if asJSON {
				s.outputs = []string{"json"}
			}
			return s.prepare(cmd.Context(), args[0], offline)
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "ask no registry: take the newest pack that the cache has of IMAGE")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as --output json")
	return cmd
}

func (s *settings) prepare(ctx context.Context, image string, offline bool) (err error) {
	cfg := s.config()
	p, err := bottletest.Prepare(ctx, image, bottletest.PrepareOptions{
		Engine: cfg.Engine, Smolvm: cfg.Smolvm, Sim: cfg.Sim, Offline: offline, Logf: cfg.Logf,
	})
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	for _, note := range []string{p.Damage, p.Why} {
		if note != "" {
			s.progress("%s", note)
		}
	}
	if s.json() {
		enc := json.NewEncoder(s.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(p)
	}
	_, err = fmt.Fprintf(s.stdout, "%s\n  %s\n", p.Boot, describe(p))
	return err
}

// describe is what a person wants to know of p beside where it is.
func describe(p bottletest.Prepared) string {
	found := "found in the cache"
	switch {
	case p.Made:
		found = "made now"
	case p.Road == bottletest.RoadDirect:
		found = "not packed: every machine takes it apart at its first start"
	case p.Road == bottletest.RoadPack:
		found = "a pack already"
	}
	return fmt.Sprintf("%s, %s, smolvm %s, by %s", cmp.Or(p.Digest, "content not known"), found, p.Smolvm, p.Road)
}
