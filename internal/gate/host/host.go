// Package host says which engine this host's run is about, and never picks one in silence.
package host

import (
	"os"
	"os/exec"
	"runtime"
)

// An Engine is what launches the bottles of a run.
type Engine struct {
	// Simulated is whether it is smolvm-sim, asked for by name.
	Simulated bool
	// Chosen is true where nobody asked: the kit's own targets take the simulator on a Linux host that has no smolvm.
	Chosen bool
	// Personalities are the releases whose behaviour the run covers, for the simulator; "" is the installed smolvm.
	Personalities []string
}

// personalities are the two network backends: tsi, and virtio-net as the newest release known has it.
var personalities = []string{"0.8.0", "1.9.3"}

// Detect chooses from the environment and PATH: $BOTTLE_ENGINE where it is set, else the real smolvm, else, on Linux only, the
// simulator. $SMOLVM_SIM_VERSION narrows the personalities to one.
func Detect() Engine {
	return detect(runtime.GOOS, os.Getenv, exec.LookPath)
}

func detect(goos string, getenv func(string) string, look func(string) (string, error)) Engine {
	asked := getenv("BOTTLE_ENGINE")
	_, err := look("smolvm")
	absent := err != nil && getenv("BOTTLE_SMOLVM") == ""
	chosen := asked == "" && goos == "linux" && absent
	if asked != "sim" && !chosen {
		return Engine{Personalities: []string{""}}
	}
	e := Engine{Simulated: true, Chosen: chosen, Personalities: personalities}
	if v := getenv("SMOLVM_SIM_VERSION"); v != "" {
		e.Personalities = []string{v}
	}
	return e
}

// Env is what a process that launches bottles needs in its environment besides this process's own.
func (e Engine) Env() []string {
	if e.Simulated {
		return []string{"BOTTLE_ENGINE=sim"}
	}
	return nil
}

// Banner is the line that a run prints first and last; "" for the real smolvm.
func (e Engine) Banner() string {
	switch {
	case !e.Simulated:
		return ""
	case e.Chosen:
		return "SIMULATED: there is no smolvm on PATH, so the bottles of this run are the simulator's. It proves the kit and not a VM."
	default:
		return "SIMULATED: BOTTLE_ENGINE=sim, so the bottles of this run are the simulator's. It proves the kit and not a VM."
	}
}
