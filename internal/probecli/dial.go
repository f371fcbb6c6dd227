package probecli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
	"bottle.internal/internal/target"
	"bottle.internal/probes"
)

// dialFlags say from where what is dialled.
type dialFlags struct {
	targetFlags
	machine, container string
	udp, reach         bool
}

func newDial(s *settings) *cobra.Command {
	var f dialFlags
	cmd := &cobra.Command{
		Use:   "dial HOST:PORT {--machine NAME | --container ID | -- ARGV...}",
		Short: "Make one probe from inside a sandbox: does HOST:PORT stay out of its reach?",
		Long: "dial tries HOST:PORT, an IP address, from inside a sandbox that is up. Where HOST is an address of this host it brings up a\n" +
			"canary there first, unless something listens already; a silent canary and a refused guest are the evidence. The positive\n" +
			"control of a bottle is its bundle, that of a container or of what runs a command an address of this host that it reaches; in a\n" +
			"machine that is no bottle a refusal stays inconclusive, since nothing shows that its network works at all.",
		Example: `  bottle-probe dial 127.0.0.1:22 --machine bottle-x
  bottle-probe dial 172.17.0.1:53 --udp --container web
  bottle-probe dial 172.17.0.1:22 -- bwrap --unshare-all --ro-bind / / --`,
		Args:        cobra.MinimumNArgs(1),
		Annotations: map[string]string{reporting: "true"},
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := netip.ParseAddrPort(args[0])
			if err != nil {
				return usage(fmt.Errorf("%q: want an IP address and a port, such as 127.0.0.1:22 or [::1]:22", args[0]))
			}
			return s.dial(cmd.Context(), f, probes.Target{Addr: addr, UDP: f.udp}, args[1:])
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&f.machine, "machine", "", "name of the machine (see: smolvm machine ls)")
	cmd.Flags().StringVar(&f.container, "container", "", "id or name of a container that is running")
	cmd.Flags().BoolVar(&f.udp, "udp", false, "send a datagram instead of connecting")
	cmd.Flags().BoolVar(&f.reach, "reach", false, "expect it to be reached, and to prove it")
	cmd.MarkFlagsMutuallyExclusive("machine", "container")
	return cmd
}

// errFrom says that nobody knows from where to dial.
var errFrom = errors.New("dial from where? --machine NAME, --container ID, or a command's beginning after --")

func (s *settings) dial(ctx context.Context, f dialFlags, t probes.Target, prefix []string) error {
	expect := probes.Contain
	if f.reach {
		expect = probes.Reach
	}
	var rep probes.Report
	var err error
	switch {
	case f.machine != "" && len(prefix) == 0:
		rep, err = s.dialMachine(ctx, f.machine, t, expect)
	case f.container != "" && len(prefix) == 0:
		rep, err = s.dialFrom(ctx, f, t, expect, func(o target.Options) (*target.Sandbox, error) { return target.Container(ctx, f.container, o) })
	case f.machine == "" && f.container == "" && len(prefix) > 0:
		rep, err = s.dialFrom(ctx, f, t, expect, func(o target.Options) (*target.Sandbox, error) { return target.Behind(ctx, prefix, o) })
	default:
		return usage(errFrom)
	}
	if err != nil {
		return err
	}
	return s.print(rep)
}

func (s *settings) dialMachine(ctx context.Context, name string, t probes.Target, expect probes.Expect) (probes.Report, error) {
	b, err := bottletest.Attach(ctx, s.config(), name)
	if err != nil {
		return probes.Report{}, err
	}
	rep, err := b.DialTarget(ctx, t, expect)
	return rep, errors.Join(err, b.Close(context.WithoutCancel(ctx)))
}

func (s *settings) dialFrom(ctx context.Context, f dialFlags, t probes.Target, expect probes.Expect, enter func(target.Options) (*target.Sandbox, error)) (probes.Report, error) {
	o, err := f.options(s)
	if err != nil {
		return probes.Report{}, err
	}
	box, err := enter(o)
	if err != nil {
		return probes.Report{}, err
	}
	rep, err := box.Dial(ctx, probes.Options{}, t, expect)
	return rep, errors.Join(err, box.Close(context.WithoutCancel(ctx)))
}
