package bottletest

import (
	"context"
	"net/netip"
	"testing"

	"bottle.internal/probes"
	"bottle.internal/smolvm"
)

// A machine that nobody gave an allowed path is shown to have a network by an address of this host that it reaches, and one that reaches
// none shows nothing.
func TestAttachToAnyMachine(t *testing.T) {
	b := Start(t, Config{Name: "any", Engine: Simulator, Sim: SimConfig{Version: "1.9.3"}, Twin: true, Artifacts: t.TempDir()})
	client, name := b.Client(), b.Plan().Machine+"-closed"
	nowhere := smolvm.Network{Enabled: true, AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}} // which is nobody's here
	if err := client.Create(t.Context(), name, smolvm.CreateOptions{Network: nowhere}); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := client.Stop(ctx, name); err != nil {
			t.Error(err)
		}
		if err := client.Delete(ctx, name); err != nil {
			t.Error(err)
		}
	})
	if err := client.Start(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	const open, shut = "net.tcp.docker-bridge", "net.unix.host-path"
	for machine, want := range map[string]map[string]probes.Verdict{
		b.Plan().Machine + "-twin": {open: probes.Leak, shut: probes.Contained},
		name:                       {open: probes.Inconclusive, shut: probes.Contained},
	} {
		attached, err := Attach(t.Context(), Config{Engine: Simulator, Sim: SimConfig{Version: "1.9.3"}}, machine)
		if err != nil {
			t.Fatal(err)
		}
		rep, err := attached.Probe(t.Context(), open, shut)
		if err != nil {
			t.Fatal(err)
		}
		for id, verdict := range want {
			if f, err := rep.Finding(id); err != nil || f.Verdict != verdict {
				t.Errorf("%s: %v, want %s: %s", machine, err, verdict, f)
			}
		}
		if err := attached.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
