package probecli

import (
	"slices"
	"strings"
	"testing"

	"bottle.internal/bottletest"
	"bottle.internal/internal/certificate/certificatetest"
	"bottle.internal/probes"
)

// certified writes the certificate of a bottle that is launched as plan says, with nothing red, and its key's public half beside it.
func certified(t *testing.T, plan bottletest.Plan, digests map[string]string) string {
	t.Helper()
	engine, version, _ := strings.Cut(plan.Engine, " ")
	return certificatetest.Write(t, probes.Report{
		Schema: probes.Schema, Engine: engine, Version: version, Backend: string(plan.Backend), Topology: string(plan.Topology), Simulated: true,
		Asked: plan.Asked(), Allowed: plan.Bundle.String(), Guest: &probes.Guest{},
	}, probes.L1, digests)
}

// A certificate vouches for what it is about, at whatever address the bundle is, and for no bottle that is launched otherwise.
func TestVerifyHoldsItAgainstWhatRunLaunches(t *testing.T) {
	bottletest.Require(t, bottletest.Config{Engine: bottletest.Simulator})
	t.Setenv("BOTTLE_ENGINE", "")
	t.Setenv("SMOLVM_SIM_VERSION", "1.9.3")
	f := launchFlags{}
	cfg := f.config(&settings{engine: "sim", topology: "bridge"})
	plan, err := bottletest.DryRun(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	digests, err := bottletest.Digests(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	path := certified(t, plan, digests)
	same := []string{"verify", path, "--key", path + ".pub", "--simulated", "--engine", "sim", "--topology", "bridge"}
	if code, out, errOut := did(t, same...); code != ExitClean {
		t.Errorf("the same: exit %d\n%s%s", code, out, errOut)
	}
	if code, _, errOut := did(t, slices.DeleteFunc(slices.Clone(same), func(s string) bool { return s == "--topology" || s == "bridge" })...); code != ExitClean {
		t.Errorf("with a topology that run will find: exit %d\n%s", code, errOut)
	}
	for says, more := range map[string][]string{
		"the engine is another":   {"--sim-version", "1.8.0"},
		"the backend is another":  {"--sim-version", "0.8.0"},
		"the topology is another": {"--topology", "alias"},
		"the policy is another":   {"--proxy-origin"},
	} {
		if code, _, errOut := did(t, append(same, more...)...); code != ExitLeak || !strings.Contains(errOut, says) {
			t.Errorf("%q: exit %d\n%s", more, code, errOut)
		}
	}
	elsewhere := plan
	elsewhere.Topology = bottletest.Alias
	path = certified(t, elsewhere, digests)
	if code, _, errOut := did(t, "verify", path, "--key", path+".pub", "--simulated", "--engine", "sim"); code != ExitClean {
		t.Errorf("of the other topology, with one that run will find: exit %d\n%s", code, errOut)
	}
	digests["engine"] = digests["agent"]
	path = certified(t, plan, digests)
	same[1], same[3] = path, path+".pub"
	if code, _, errOut := did(t, same...); code != ExitLeak || !strings.Contains(errOut, "engine is another") {
		t.Errorf("another program: exit %d\n%s", code, errOut)
	}
}
