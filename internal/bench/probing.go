package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"bottle.internal/bottletest"
	"bottle.internal/probes"
	"bottle.internal/probes/agent"
	"bottle.internal/smolvm"
)

const probeRounds = 3

// probing compares one batch of everything critical and high about the network, each denial tried twice, with what people do today:
// one command in the guest for each target.
func probing(ctx context.Context) ([]figure, error) {
	ids := criticalSet()
	b, err := bottletest.Run(ctx, benchBottle(false))
	if err != nil {
		return nil, err
	}
	var batch stopwatch
	var report probes.Report
	for i := range probeRounds + 1 { // the first one warms up
		if i == 1 {
			batch = nil
		}
		if err == nil {
			err = batch.time(func() (err error) { report, err = b.Probe(ctx, ids...); return err })
		}
	}
	var single time.Duration
	targets := targetsOf(report)
	if err == nil {
		single, err = oneByOne(ctx, b, targets)
	}
	if err = errors.Join(err, b.Close(ctx)); err != nil {
		return nil, err
	}
	begin := time.Now()
	twin, err := bottletest.Run(ctx, benchBottle(true))
	if err != nil {
		return nil, err
	}
	_, err = twin.Probe(ctx, ids...)
	withTwin := time.Since(begin)
	if err = errors.Join(err, twin.Close(ctx)); err != nil {
		return nil, err
	}
	how := fmt.Sprintf("%d probes, %d targets, each denial twice", len(ids), len(targets))
	speedup := single.Seconds() * 1000 / batch.median()
	peak, err := wholeCatalogue(ctx)
	if err != nil {
		return nil, err
	}
	return []figure{
		{"the agent's memory, whole catalogue", peak, "MiB", 20, "the most it had resident, in one batch of all probes"},
		{"critical set, warm", batch.median(), "ms", 3000, how},
		{"critical set with twin, from nothing", float64(withTwin.Milliseconds()), "ms", 6000, "both boots and the gate included"},
		{"the same targets one exec each", float64(single.Milliseconds()), "ms", 0, "machine exec … bash, /dev/tcp or /dev/udp, once each"},
		{"share of that", 100 / speedup, "%", 5, fmt.Sprintf("%.0f times faster, and twice as often", speedup)},
	}, nil
}

// wholeCatalogue is the memory that the agent takes for the biggest batch that there is, in MiB.
func wholeCatalogue(ctx context.Context) (float64, error) {
	b, err := bottletest.Run(ctx, benchBottle(false))
	if err != nil {
		return 0, err
	}
	report, err := b.Probe(ctx)
	if err == nil && (report.Guest == nil || report.Guest.PeakKiB == 0) {
		err = errors.New("the agent does not tell what memory it took")
	}
	if err = errors.Join(err, b.Close(ctx)); err != nil {
		return 0, err
	}
	return float64(report.Guest.PeakKiB) / 1024, nil
}

func benchBottle(twin bool) bottletest.Config {
	return bottletest.Config{Name: "bench", Engine: bottletest.Simulator, Daemons: []string{"proxy", "egress"}, ProxyOrigin: true, Twin: twin}
}

// criticalSet are all critical and high probes about the network that one batch answers.
func criticalSet() []string {
	var ids []string
	for _, p := range probes.All() {
		if (p.Severity == probes.Critical || p.Severity == probes.High) && p.Most() == probes.L4 && !p.Scene() {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// A target is what a person would dial.
type target struct {
	network string // of bash: tcp or udp
	addr    netip.AddrPort
}

func targetsOf(r probes.Report) []target {
	var all []target
	seen := make(map[target]bool)
	for _, f := range r.Findings {
		for _, a := range f.Attempts {
			t := target{"tcp", a.Address}
			if a.Network == agent.UDP4 || a.Network == agent.UDP6 {
				t.network = "udp"
			}
			if a.Address.IsValid() && !seen[t] {
				seen[t] = true
				all = append(all, t)
			}
		}
	}
	return all
}

// oneByOne dials each target with a command of its own, and waits as long as people tell nc to.
func oneByOne(ctx context.Context, b *bottletest.Bottle, targets []target) (time.Duration, error) {
	const script = `exec 5<>"/dev/$1/$2/$3" && echo probe >&5 && read -r -t 2 -u 5`
	begin := time.Now()
	for _, t := range targets {
		// The answer, and that it is an error, are the target's; that the command ran is all that counts here.
		_, err := b.ExecCommand(ctx, smolvm.Command{Timeout: 10 * time.Second, Argv: []string{
			"bash", "-c", script, "-", t.network, t.addr.Addr().String(), fmt.Sprint(t.addr.Port())}})
		if err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}
