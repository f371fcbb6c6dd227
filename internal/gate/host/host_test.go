package host

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDetect(t *testing.T) {
	both := []string{"0.8.0", "1.9.3"}
	for _, c := range []struct {
		name string
		goos string
		path bool // smolvm is on PATH
		env  map[string]string
		want Engine
	}{
		{"Linux without smolvm", "linux", false, nil, Engine{Simulated: true, Chosen: true, Personalities: both}},
		{"Linux with smolvm", "linux", true, nil, Engine{Personalities: []string{""}}},
		{"Linux, smolvm named", "linux", false, map[string]string{"BOTTLE_SMOLVM": "/opt/smolvm"}, Engine{Personalities: []string{""}}},
		{"the simulator by name", "linux", true, map[string]string{"BOTTLE_ENGINE": "sim"}, Engine{Simulated: true, Personalities: both}},
		{"one personality", "linux", false, map[string]string{"SMOLVM_SIM_VERSION": "1.9.3"}, Engine{Simulated: true, Chosen: true, Personalities: both[1:]}},
		{"macOS without smolvm", "darwin", false, nil, Engine{Personalities: []string{""}}},
		{"the real one by name", "linux", false, map[string]string{"BOTTLE_ENGINE": "smolvm"}, Engine{Personalities: []string{""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			look := func(string) (string, error) {
				if c.path {
					return "/usr/bin/smolvm", nil
				}
				return "", exec.ErrNotFound
			}
			have := detect(c.goos, func(k string) string { return c.env[k] }, look)
			if d := cmp.Diff(c.want, have); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestASimulatedRunSaysSo(t *testing.T) {
	for _, e := range []Engine{{Simulated: true}, {Simulated: true, Chosen: true}} {
		if !strings.Contains(e.Banner(), "not a VM") || len(e.Env()) == 0 {
			t.Errorf("%+v: %q, %q", e, e.Banner(), e.Env())
		}
	}
	if e := (Engine{}); e.Banner() != "" || e.Env() != nil {
		t.Errorf("the real smolvm: %q, %q", e.Banner(), e.Env())
	}
}
