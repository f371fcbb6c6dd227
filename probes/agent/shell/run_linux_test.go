package shell_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"bottle.internal/probes"
	"bottle.internal/probes/agent"
	"bottle.internal/probes/agent/shell"
)

// here is this host as a sandbox that has a shell and the tools.
func here(t *testing.T, tools ...string) shell.Exec {
	path := bin(t, tools...)
	return func(_ context.Context, script string) ([]byte, error) {
		return fed(t, []string{"dash"}, path, script), nil
	}
}

// On a host without walls a shell shows that there are none, says that it is one, and leaves open what it does not make.
func TestThrough(t *testing.T) {
	const udp, loopback, allowed = "net.udp.canary.v4", "net.tcp.loopback.v4", "net.tcp.allowed.v4"
	c, err := probes.NewCanary("allowed", netip.MustParseAddrPort("127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	site := probes.Site{Backend: probes.TSI, Allowed: c.Target()}
	for tool, want := range map[string]map[string]probes.Verdict{
		"perl": {allowed: probes.Contained, loopback: probes.Leak, udp: probes.Inconclusive},
		"":     {allowed: probes.Inconclusive, loopback: probes.Inconclusive, udp: probes.Inconclusive},
	} {
		site.Run = shell.Through(here(t, strings.Fields(tool)...))
		rep, err := probes.Run(t.Context(), site, probes.Options{Attempts: 1}, allowed, loopback, udp)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Guest == nil || !strings.Contains(rep.String(), "WEAKER EVIDENCE: by a POSIX shell") {
			t.Errorf("the report does not say that it was a shell:\n%s", rep)
		}
		for id, v := range want {
			f, err := rep.Finding(id)
			if err != nil || f.Verdict != v || f.Assurance > probes.L1 || len(f.Warnings) == 0 {
				t.Errorf("with %q: want %s: %s %v", tool, v, f, err)
			}
		}
	}
}

func TestThroughFails(t *testing.T) {
	broken := errors.New("no sandbox")
	for name, c := range map[string]struct {
		out  string
		err  error
		want error
	}{"transport": {"", broken, broken}, "no script": {"sh: not found\n", nil, agent.ErrResponse}} {
		run := shell.Through(func(context.Context, string) ([]byte, error) { return []byte(c.out), c.err })
		if _, err := run(t.Context(), encoded(t, one())); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := shell.Through(nil)(t.Context(), []byte("{}")); err == nil {
		t.Error("a request that is none was carried")
	}
}
