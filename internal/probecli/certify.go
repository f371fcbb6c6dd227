package probecli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
	"bottle.internal/internal/certificate"
	"bottle.internal/internal/gobuild"
	"bottle.internal/probes"
	"bottle.internal/probes/mutants"
	"bottle.internal/probes/reports"
)

// certificateFlags say where a certificate and its key are.
type certificateFlags struct {
	key, file string
}

func newCertify(s *settings) *cobra.Command {
	var f launchFlags
	var c certificateFlags
	var q inquiry
	cmd := &cobra.Command{
		Use:   "certify --key KEY.pem --certificate FILE",
		Short: "Launch a bottle, probe it, and say under a signature what was found",
		Long: "certify does what run does and writes an in-toto statement in a DSSE envelope, signed with ed25519: its subjects are the digests of the\n" +
			"engine's program, the guest's image, the agent and the bundle; its predicate has the engine, the kernel, the policy, each verdict with\n" +
			"its assurance, the waivers, and how many mutants this kit has on record to have told apart. A key that is not there is made, with its\n" +
			"public half in KEY.pem.pub. What is red is certified too: verify refuses it. A certificate is of the whole catalogue: it takes neither\n" +
			"--only nor --skip.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.certify(cmd.Context(), f, c, q) },
	}
	q.flags(cmd)
	for _, refused := range []string{"only", "skip"} {
		_ = cmd.Flags().MarkHidden(refused)
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&c.key, "key", "", "path of the private key, PEM (PKCS #8); made if it is not there")
	cmd.Flags().StringVar(&c.file, "certificate", "", "path to write the certificate to")
	_ = cmd.MarkFlagRequired("key")
	_ = cmd.MarkFlagRequired("certificate")
	return cmd
}

// errPart says that a certificate was asked for of a part of the catalogue.
var errPart = errors.New("--only and --skip: a certificate is of the whole catalogue, or it would vouch for what was never asked (run takes them)")

func (s *settings) certify(ctx context.Context, f launchFlags, c certificateFlags, q inquiry) error {
	if len(q.only) > 0 || len(q.skip) > 0 {
		return usage(errPart)
	}
	key, err := s.privateKey(c.key)
	if err != nil {
		return usage(err)
	}
	digests, err := bottletest.Digests(ctx, f.config(s))
	if err != nil {
		return err
	}
	q.then = func(judged probes.Report) error { return s.sign(ctx, c.file, key, judged, digests) }
	return s.ask(ctx, q, func(ctx context.Context, opts probes.Options, ids []string) (probes.Report, error) {
		return s.run(ctx, f, opts, ids)
	})
}

// sign writes the certificate of a report.
func (s *settings) sign(ctx context.Context, path string, key ed25519.PrivateKey, rep probes.Report, digests map[string]string) error {
	statement, err := certificate.NewStatement(rep, digests, s.mutation(ctx), time.Now())
	if err != nil {
		return err
	}
	envelope, err := certificate.Sign(ctx, statement, key)
	if err != nil {
		return err
	}
	if err := toFile(path, func(w io.Writer) error {
		_, err := w.Write(envelope)
		return err
	}); err != nil {
		return err
	}
	s.progress("certificate: %s", path)
	return nil
}

func (s *settings) privateKey(path string) (ed25519.PrivateKey, error) {
	key, err := certificate.ReadKey(path)
	if !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	if key, err = certificate.GenerateKey(path); err == nil {
		s.progress("made a key: %s, and its public half %s.pub", path, path)
	}
	return key, err
}

// mutation is what is on record of this kit.
func (s *settings) mutation(ctx context.Context) certificate.Mutation {
	kit, err := gobuild.Kit(ctx)
	if err != nil {
		return certificate.Mutation{}
	}
	m := certificate.Mutation{Kit: kit, Total: len(mutants.All())}
	record, err := killRecord(kit)
	if err != nil {
		s.progress("%v", err)
	}
	killed := make(map[string]bool)
	for _, names := range record.Kills {
		for _, name := range names {
			killed[name] = true
		}
	}
	m.Killed = len(killed)
	return m
}

func newVerify(s *settings) *cobra.Command {
	var f launchFlags
	var c certificateFlags
	var maxAge time.Duration
	var simulated bool
	cmd := &cobra.Command{
		Use:   "verify CERTIFICATE --key KEY.pem.pub",
		Short: "Refuse to launch what no certificate vouches for",
		Long: "verify checks the signature and the age of a certificate, that nothing in it is red, that no probe of this kit is missing from it, and\n" +
			"that its subjects are what run would launch here and now, with the same flags: on the same engine in the same version, by the same\n" +
			"backend and topology, under the same policy but for the bundle's address. It exits 0 if the certificate vouches for that and 1 if not.\n\n" +
			"Nothing is launched. A topology that is not named is found by run, by dialling: it is compared only where it is named.",
		Example: "  bottle-probe verify bottle.cert --key bottle.pem.pub && smolvm machine start …",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := certificate.ReadPublicKey(c.key)
			if err != nil {
				return usage(err)
			}
			envelope, err := os.ReadFile(args[0])
			if err != nil {
				return usage(err)
			}
			d := certificate.Demand{Key: key, MaxAge: maxAge, Simulated: simulated}
			if err := s.demand(cmd.Context(), f, &d); err != nil {
				return err
			}
			return s.verify(cmd.Context(), envelope, d)
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&c.key, "key", "", "path of the public key, PEM (PKIX)")
	cmd.Flags().DurationVar(&maxAge, "max-age", 24*time.Hour, "the most that its age may be; 0 is any")
	cmd.Flags().BoolVar(&simulated, "simulated", false, "take a certificate of the simulator, which says nothing of a VM")
	_ = cmd.MarkFlagRequired("key")
	return cmd
}

// demand puts into d what run would launch here and now.
func (s *settings) demand(ctx context.Context, f launchFlags, d *certificate.Demand) error {
	var err error
	if d.Digests, err = bottletest.Digests(ctx, f.config(s)); err != nil {
		return err
	}
	p, err := bottletest.DryRun(ctx, f.config(s))
	if err != nil {
		return err
	}
	asked := reports.Asked(probes.Report{Asked: p.Asked(), Allowed: p.Bundle.String()})
	d.Launch = certificate.Launch{Engine: p.Engine, Backend: string(p.Backend), Topology: string(p.Topology), Asked: asked}
	if s.topology == "" && os.Getenv("BOTTLE_TOPOLOGY") == "" && p.Runtime == bottletest.Container {
		d.Launch.Topology = ""
	}
	return nil
}

func (s *settings) verify(ctx context.Context, envelope []byte, d certificate.Demand) error {
	statement, err := certificate.Verify(ctx, envelope, d, time.Now())
	if errors.Is(err, certificate.ErrRefused) {
		return &exitError{ExitLeak, err}
	}
	if err != nil {
		return err
	}
	p := statement.Predicate
	if s.json() {
		return writeJSON(s.stdout, statement)
	}
	fmt.Fprintf(s.stdout, "%s on %s, %s: %s, made %s, %d probes, %d waivers, %d of %d mutants killed\n",
		p.Engine, p.Backend, p.Topology, p.Verdict, p.Made.Format(time.RFC3339), len(p.Findings), len(p.Waivers), p.Mutation.Killed, p.Mutation.Total)
	for _, name := range slices.Sorted(maps.Keys(d.Digests)) {
		fmt.Fprintf(s.stdout, "%-12s sha256:%s\n", name, d.Digests[name])
	}
	return nil
}
