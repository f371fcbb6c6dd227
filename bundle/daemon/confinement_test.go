package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bottle.internal/bundle/internal/wire"
)

const (
	confinedStatus = "Name:\tbottle-bundle\nUid:\t0\t65532\t0\t0\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n" +
		"CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
	looseStatus   = "Uid:\t0\t0\t0\t0\nCapEff:\t0000000000000001\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t0\n"
	readOnlyMount = "92 199 0:44 / / ro,nosuid,relatime - overlay overlay rw\n93 92 0:57 / /proc rw - proc proc rw\n"
	writableMount = "92 199 0:44 / / rw,relatime - overlay overlay rw\n"
)

func TestConfinement(t *testing.T) {
	for name, c := range map[string]struct {
		status, mounts string
		want           wire.Confinement
		fails          bool
	}{
		"confined":            {confinedStatus, readOnlyMount, wire.Confinement{UID: 65532, NoNewPrivileges: true, Seccomp: 2, ReadOnlyRoot: true}, false},
		"loose":               {looseStatus, writableMount, wire.Confinement{Capabilities: 0xa80425fb}, false},
		"mounted over":        {confinedStatus, readOnlyMount + writableMount, wire.Confinement{UID: 65532, NoNewPrivileges: true, Seccomp: 2}, false},
		"no root":             {confinedStatus, "", wire.Confinement{}, true},
		"an odd mask":         {"Uid:\t1\t1\nCapEff:\tzz\n", readOnlyMount, wire.Confinement{}, true},
		"an odd user":         {"Uid:\tx\ty\n", readOnlyMount, wire.Confinement{}, true},
		"a status of nothing": {"", readOnlyMount, wire.Confinement{UID: -1, ReadOnlyRoot: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			proc := t.TempDir()
			if err := os.Mkdir(filepath.Join(proc, "1"), 0o755); err != nil {
				t.Fatal(err)
			}
			for file, text := range map[string]string{"status": c.status, "mountinfo": c.mounts} {
				if err := os.WriteFile(filepath.Join(proc, "1", file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := confinement(proc)
			got.Sockets = nil // of the host that runs the test
			if (err != nil) != c.fails {
				t.Fatalf("%v", err)
			}
			if diff := cmp.Diff(c.want, got); !c.fails && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
