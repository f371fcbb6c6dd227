package bottletest

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"bottle.internal/bundle"
	"bottle.internal/internal/enginetest"
)

// refusingVar has TestRefusedJoin launch, in a process that has not settled on an engine.
const refusingVar = "BOTTLETEST_REFUSING_ENGINE"

// An engine that puts no container on a network later, as podman does not where that was begun with none, gets one that is begun on it.
func TestRefusedJoin(t *testing.T) {
	if os.Getenv(refusingVar) != "" {
		launchAtRefusing(t)
		return
	}
	engine, err := bundle.Detect(t.Context())
	if err != nil {
		t.Skip(err)
	}
	for _, call := range []string{"/networks/none/disconnect", "/connect"} {
		host := enginetest.Proxy(t, engine.Host, func(w http.ResponseWriter, r *http.Request) bool { return refuse(w, r, call) })
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRefusedJoin$", "-test.v")
		cmd.Env = append(os.Environ(), refusingVar+"=1", "DOCKER_HOST="+host)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestRefusedJoin") {
			t.Errorf("%s: %v\n%s", call, err, out)
		}
	}
}

// launchAtRefusing is the test, in the process of its own.
func launchAtRefusing(t *testing.T) {
	var fellBack atomic.Bool
	b, err := Run(t.Context(), Config{Name: "refused", Engine: Simulator, Topology: Bridge, Logf: func(format string, args ...any) {
		t.Logf(format, args...)
		if strings.Contains(format, "created after its network") {
			fellBack.Store(true)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	side := b.side.(*containerSidecar)
	in, err := side.ctr.Inspect(t.Context())
	if err != nil || in.HostConfig.NetworkMode.IsNone() || in.NetworkSettings.Networks[side.net.Name] == nil {
		t.Errorf("begun with network mode %q, on %v: %v", in.HostConfig.NetworkMode, in.NetworkSettings.Networks, err)
	}
	if !fellBack.Load() {
		t.Error("the log does not say so")
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// refuse is an engine's that does not do one call.
func refuse(w http.ResponseWriter, r *http.Request, call string) bool {
	if !strings.HasSuffix(r.URL.Path, call) {
		return false
	}
	http.Error(w, `{"message":"\"none\" is not supported: invalid network mode"}`, http.StatusInternalServerError)
	return true
}
