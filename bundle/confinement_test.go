package bundle

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
)

func TestRecorded(t *testing.T) {
	sound := func() (*container.Config, *container.HostConfig) {
		h := &container.HostConfig{}
		harden(h)
		return &container.Config{User: unprivileged}, h
	}
	want := Confinement{User: "65532", NoNewPrivileges: true, Filtered: true, ReadOnlyRoot: true}
	for name, edit := range map[string]func(*container.Config, *container.HostConfig, *Confinement){
		"what this kit runs": func(*container.Config, *container.HostConfig, *Confinement) {},
		"nobody in particular is root": func(c *container.Config, _ *container.HostConfig, w *Confinement) {
			c.User, w.User, w.Root = "", "", true
		},
		"the engine's capabilities and one more": func(_ *container.Config, h *container.HostConfig, w *Confinement) {
			h.CapDrop, h.CapAdd, w.Capabilities = nil, []string{"NET_ADMIN"}, []string{"the engine's own", "NET_ADMIN"}
		},
		"no filter": func(_ *container.Config, h *container.HostConfig, w *Confinement) {
			h.SecurityOpt, w.Filtered = append(h.SecurityOpt, "seccomp=unconfined"), false
		},
		"privileges to gain": func(_ *container.Config, h *container.HostConfig, w *Confinement) {
			h.SecurityOpt, w.NoNewPrivileges = []string{"no-new-privileges:false"}, false
		},
		"a root that can be written": func(_ *container.Config, h *container.HostConfig, w *Confinement) {
			h.ReadonlyRootfs, w.ReadOnlyRoot = false, false
		},
		"the engine's socket, and a directory that has it": func(_ *container.Config, h *container.HostConfig, w *Confinement) {
			h.Binds, w.Sockets = []string{"/var/run/docker.sock:/x", "/data:/data", "/run/:/host"}, []string{"/var/run/docker.sock", "/run/"}
		},
		"all of the host": func(_ *container.Config, h *container.HostConfig, w *Confinement) {
			h.Privileged, h.NetworkMode, h.PidMode, w.Filtered = true, "host", "host", false
			w.Shared = []string{"privileged", "the host's network namespace", "the host's pid namespace"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, h := sound()
			w := want
			edit(c, h, &w)
			if diff := cmp.Diff(w, recorded(c, h)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
