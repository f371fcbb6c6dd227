package owner

import (
	"os/exec"
	"strings"
	"testing"
)

func TestSelfIsAlive(t *testing.T) {
	if !Alive(Self()) {
		t.Fatalf("%s is not alive", Self())
	}
}

func TestEndedProcessIsNotAlive(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := of(cmd.Process.Pid)
	if err != nil || !Alive(id) {
		t.Fatalf("a running child: %q, %v, alive %v", id, err, Alive(id))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if Alive(id) {
		t.Fatalf("%s is alive after its end", id)
	}
}

func TestNobodyIsAlive(t *testing.T) {
	parts := strings.Split(string(Self()), "/")
	for name, id := range map[string]ID{
		"empty": "", "garbage": "x/y/z", "no start": ID(parts[0] + "/" + parts[1]),
		"another boot":       ID("boot/" + parts[1] + "/" + parts[2]),
		"the pid came round": ID(parts[0] + "/" + parts[1] + "/1"),
	} {
		if Alive(id) {
			t.Errorf("%s: %q is alive", name, id)
		}
	}
}
