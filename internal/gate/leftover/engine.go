package leftover

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"bottle.internal/internal/gate/proc"
)

const dockerLimit = 20 * time.Second

// listings are the docker commands that list what a run may leave, each with "ID<tab>name<tab>labels".
var listings = []struct {
	kind string
	args []string
}{
	{"container", []string{"ps", "-a", "--no-trunc", "--format", "{{.ID}}\t{{.Names}}\t{{.Labels}}"}},
	{"network", []string{"network", "ls", "--no-trunc", "--format", "{{.ID}}\t{{.Name}}\t{{.Labels}}"}},
	{"volume", []string{"volume", "ls", "--format", "{{.Name}}\t{{.Name}}\t{{.Labels}}"}},
}

func docker(ctx context.Context, s Snapshot) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, dockerLimit)
	defer cancel()
	for _, l := range listings {
		out, err := proc.Output(ctx, "", nil, "docker", l.args...)
		if err != nil {
			return err
		}
		if err := s.docker(l.kind, out); err != nil {
			return err
		}
	}
	return nil
}

func (s Snapshot) docker(kind, out string) error {
	for line := range strings.Lines(out) {
		field := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(field) < 2 {
			return fmt.Errorf("docker lists a %s as %q", kind, line)
		}
		labels := strings.Join(field[2:], "")
		ours := strings.HasPrefix(field[1], "bottle-") || strings.Contains(labels, "internal.bottle.") || strings.Contains(labels, "org.testcontainers")
		s[kind+" "+field[0]] = thing{kind, field[1], ours}
	}
	return nil
}
