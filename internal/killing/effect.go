package killing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bottle.internal/bottletest"
	"bottle.internal/probes/mutants"
)

// A boot is what the simulator's supervisor of a machine was told, as far as it is looked at here.
type boot struct {
	Machine string   `json:"machine"`
	Faults  []string `json:"faults"`
	Network *struct {
		Restrict bool           `json:"restrict"`
		Allow    []netip.Prefix `json:"allow"`
	} `json:"network"`
}

// bootOf finds the supervisor of a machine among the processes, and reads what it was told.
func bootOf(machine string) (boot, error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return boot{}, err
	}
	for _, line := range lines {
		text, err := os.ReadFile(line)
		words := strings.Split(string(text), "\x00")
		if err != nil || len(words) < 3 || words[1] != "_boot-vm" {
			continue
		}
		var b boot
		if text, err = os.ReadFile(words[2]); err == nil && json.Unmarshal(text, &b) == nil && b.Machine == machine {
			return b, nil
		}
	}
	return boot{}, fmt.Errorf("no supervisor of the machine %q is running", machine)
}

// effects is how it is known that the edit took effect in the bottle that is up, a line each. An error is that it did not.
func (r *runner) effects(ctx context.Context, e mutants.Edit, b *bottletest.Bottle, made *command) (lines []string, err error) {
	for _, look := range []func(context.Context, mutants.Edit, *bottletest.Bottle, *command) (string, error){
		faultsEffect, argsEffect, listenEffect, daemonsEffect, r.containerEffect,
	} {
		line, err := look(ctx, e, b, made)
		if err != nil {
			return lines, fmt.Errorf("the edit took no effect: %w", err)
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func faultsEffect(_ context.Context, e mutants.Edit, b *bottletest.Bottle, _ *command) (string, error) {
	if len(e.Faults) == 0 {
		return "", nil
	}
	told, err := bootOf(b.Plan().Machine)
	if err != nil {
		return "", err
	}
	if !slices.Equal(told.Faults, e.Faults) {
		return "", fmt.Errorf("the guest's supervisor has the faults %q, want %q", told.Faults, e.Faults)
	}
	return fmt.Sprintf("the guest's supervisor was started with the faults %q", told.Faults), nil
}

// argsEffect looks at the command line that was run, and at the policy that the engine made of it.
func argsEffect(_ context.Context, e mutants.Edit, b *bottletest.Bottle, made *command) (string, error) {
	guest := slices.DeleteFunc(slices.Clone(e.Args), func(a mutants.Arg) bool { return a.Twin })
	if len(e.Args) > len(guest) {
		return twinEffect(b, made)
	}
	if len(guest) == 0 && !e.Pack {
		return "", nil
	}
	if slices.Equal(made.run, made.asked) || len(made.run) == 0 {
		return "", errors.New("the command line is what it was")
	}
	told, err := bootOf(b.Plan().Machine)
	if err != nil {
		return "", err
	}
	policy := "has no network"
	if told.Network != nil {
		policy = fmt.Sprintf("has restrict=%t allow=%v", told.Network.Restrict, told.Network.Allow)
	}
	if e.Pack && (!slices.Contains(made.run, "--from") || told.Network != nil && told.Network.Restrict) {
		return "", fmt.Errorf("the policy was not dropped: %s", policy)
	}
	for _, a := range guest {
		if err := a.Seen(made.run, filled(a.Value, made.asked)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("run was %q, and the guest's network %s", made.run, policy), nil
}

func twinEffect(b *bottletest.Bottle, made *command) (string, error) {
	told, err := bootOf(b.Plan().Machine + "-twin")
	if err != nil {
		return "", err
	}
	if told.Network == nil || !told.Network.Restrict {
		return "", fmt.Errorf("the twin has no policy: run was %q", made.twin)
	}
	return fmt.Sprintf("the twin was made by %q, and may reach %v", made.twin, told.Network.Allow), nil
}

func listenEffect(ctx context.Context, e mutants.Edit, b *bottletest.Bottle, _ *command) (string, error) {
	if len(e.Listen) == 0 {
		return "", nil
	}
	all, err := b.Listeners(ctx)
	if err != nil {
		return "", err
	}
	for _, l := range all {
		for daemon, at := range e.Listen {
			if l.Addr.String() == at {
				return fmt.Sprintf("%s listens at %s in the bundle", daemon, at), nil
			}
		}
	}
	return "", fmt.Errorf("nothing listens at %v in the bundle: %v", e.Listen, all)
}

func daemonsEffect(ctx context.Context, e mutants.Edit, b *bottletest.Bottle, _ *command) (string, error) {
	if e.Daemons == nil {
		return "", nil
	}
	all, err := b.Listeners(ctx)
	if err != nil {
		return "", err
	}
	for _, l := range all {
		if l.Addr.Port() == 9099 {
			return "", fmt.Errorf("something listens at %s in the bundle", l.Addr)
		}
	}
	return "nothing listens on port 9099 of the bundle", nil
}

// agentPath is where bottletest has the prober in a guest.
const agentPath = "/.bottle/agent"

// replaceAgent puts another agent into the guest, and reads it back.
func replaceAgent(ctx context.Context, b *bottletest.Bottle, path, dir string) (string, error) {
	if err := b.CopyTo(ctx, path, agentPath, 0o755); err != nil {
		return "", err
	}
	back := filepath.Join(dir, "agent.back")
	if err := b.CopyFrom(ctx, agentPath, back); err != nil {
		return "", err
	}
	want, err := os.ReadFile(path)
	have, readErr := os.ReadFile(back)
	if err := errors.Join(err, readErr); err != nil {
		return "", err
	}
	if !bytes.Equal(want, have) {
		return "", errors.New("the guest has another agent than was copied in")
	}
	return fmt.Sprintf("the guest's agent is %s, byte for byte", filepath.Base(path)), nil
}

// breakWorld takes the world's socket away.
func breakWorld(ctx context.Context, b *bottletest.Bottle) (string, error) {
	for _, kv := range b.Client().Env {
		path, ok := strings.CutPrefix(kv, "SMOLVM_SIM_WORLD=")
		if !ok {
			continue
		}
		if err := os.Remove(path); err != nil {
			return "", err
		}
		if c, err := (&net.Dialer{}).DialContext(ctx, "unix", path); err == nil {
			return "", errors.Join(errors.New("the world still takes connections"), c.Close())
		}
		return "nobody can connect to the world's socket any more", nil
	}
	return "", errors.New("the bottle has no world")
}
