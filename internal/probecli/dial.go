package probecli

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
	"bottle.internal/probes"
)

func newDial(s *settings) *cobra.Command {
	var machine string
	cmd := &cobra.Command{
		Use:   "dial HOST:PORT --machine NAME",
		Short: "Make one probe in a machine that is up: does HOST:PORT stay out of its reach?",
		Long: "dial tries HOST:PORT, an IP address, from inside the machine NAME. Where HOST is an address of this host it brings up a\n" +
			"canary there first, unless something listens already; a silent canary and a refused guest are the evidence. Where NAME is\n" +
			"a bottle of this kit, its bundle is the positive control; for any other machine a refusal stays inconclusive, since\n" +
			"nothing shows that the machine's network works at all.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := netip.ParseAddrPort(args[0])
			if err != nil {
				return usage(fmt.Errorf("%q: want an IP address and a port, such as 127.0.0.1:22 or [::1]:22", args[0]))
			}
			return s.dial(cmd.Context(), machine, addr)
		},
	}
	cmd.Flags().StringVar(&machine, "machine", "", "name of the machine (see: smolvm machine ls)")
	_ = cmd.MarkFlagRequired("machine")
	cmd.Annotations = map[string]string{reporting: "true"}
	return cmd
}

func (s *settings) dial(ctx context.Context, machine string, addr netip.AddrPort) error {
	b, err := bottletest.Attach(ctx, s.config(), machine)
	if err != nil {
		return err
	}
	rep, err := b.DialReport(ctx, addr, probes.Contain)
	if err != nil {
		return err
	}
	return s.print(rep)
}
