package bundle

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"bottle.internal/internal/owner"
)

// A process makes a bundle and is killed; what it left is swept, what lives is not.
func TestSweep(t *testing.T) {
	t.Parallel()
	img := defaultImage(t)
	live := runBundle(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "orphan", img)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	f := strings.Fields(line)
	if err != nil || len(f) < 3 || f[len(f)-2] != "<nil>" {
		t.Fatalf("the orphan said %q, %v", line, err)
	}
	its := f[len(f)-1]
	left := names(t, its)
	if len(left) != 2 || !strings.HasPrefix(left[0], "container ") || !strings.HasPrefix(left[1], "network ") {
		t.Fatalf("the killed process left %q, want a container and a network", left)
	}
	var asked []string
	removed, err := Sweep(t.Context(), func(o string) bool {
		asked = append(asked, o)
		return o == its && !owner.Alive(owner.ID(o)) // other owners on this machine are not this test's to judge
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(removed, left) {
		t.Errorf("removed %q, want %q, the container first", removed, left)
	}
	if got := names(t, its); len(got) != 0 {
		t.Errorf("still there: %q", got)
	}
	if self := string(owner.Self()); !slices.Contains(asked, self) {
		t.Errorf("asked about %q, not about %q", asked, self)
	}
	if _, err := live.Listeners(t.Context()); err != nil {
		t.Errorf("the living one was swept: %v", err)
	}
}

// names lists what owner has, containers first.
func names(t *testing.T, of string) []string {
	t.Helper()
	_, cli, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := owned(t.Context(), cli)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range all {
		if o.owner == of {
			out = append(out, o.name)
		}
	}
	return out
}

// What carries no owner, or an empty one, is foreign.
func TestSweepLeavesTheForeign(t *testing.T) {
	engine(t)
	_, cli, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	foreign := newNetwork(t, map[string]string{LabelOwner: ""})
	removed, err := Sweep(t.Context(), func(o string) bool { return o == "" })
	if err != nil || len(removed) != 0 {
		t.Errorf("removed %q, %v", removed, err)
	}
	if _, err := cli.NetworkInspect(t.Context(), foreign.ID, client.NetworkInspectOptions{}); err != nil {
		t.Error(err)
	}
}
