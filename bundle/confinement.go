package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"bottle.internal/bundle/internal/wire"
)

// A Confinement is what keeps a container's PID 1 in.
type Confinement struct {
	// User is who it runs as, as the one who says so writes it: a number from inside, what the image or the request says from the
	// engine. Root says that it is root.
	User string
	Root bool
	// Capabilities are those it has or can get, by their number or, from the engine, by their name; nil is none.
	Capabilities    []string
	NoNewPrivileges bool
	// Filtered says that its system calls are filtered.
	Filtered     bool
	ReadOnlyRoot bool
	// Sockets are those of container engines that it can reach as files.
	Sockets []string
	// Shared are the host's namespaces that it is in, and "privileged".
	Shared []string
}

// Inside is the container's confinement as its own kernel has it.
func (c *Container) Inside(ctx context.Context) (Confinement, error) {
	out, err := c.exec(ctx, program, "confinement")
	if err != nil {
		return Confinement{}, err
	}
	var w wire.Confinement
	if err := json.Unmarshal(out, &w); err != nil {
		return Confinement{}, fmt.Errorf("reading the confinement: %w", err)
	}
	found := Confinement{
		User: fmt.Sprint(w.UID), Root: w.UID == 0, NoNewPrivileges: w.NoNewPrivileges, Filtered: w.Seccomp != 0,
		ReadOnlyRoot: w.ReadOnlyRoot, Sockets: w.Sockets,
	}
	for bit := range 64 {
		if w.Capabilities&(1<<bit) != 0 {
			found.Capabilities = append(found.Capabilities, fmt.Sprint(bit))
		}
	}
	return found, nil
}

// Recorded is the container's confinement as the engine has it.
func (c *Container) Recorded(ctx context.Context) (Confinement, error) {
	in, err := c.Inspect(ctx)
	if err != nil {
		return Confinement{}, fmt.Errorf("inspecting the container: %w", err)
	}
	return recorded(in.Config, in.HostConfig), nil
}

// recorded reads the engine's record. What it does not say is what the engine does by itself: its own capabilities, its own filter.
func recorded(c *container.Config, h *container.HostConfig) Confinement {
	user, _, _ := strings.Cut(c.User, ":")
	found := Confinement{User: user, Root: user == "" || user == "0" || user == "root", Filtered: true, ReadOnlyRoot: h.ReadonlyRootfs}
	if !slices.ContainsFunc(h.CapDrop, func(s string) bool { return strings.EqualFold(s, "ALL") }) {
		found.Capabilities = append(found.Capabilities, "the engine's own")
	}
	found.Capabilities = append(found.Capabilities, h.CapAdd...)
	for _, opt := range h.SecurityOpt {
		switch {
		case opt == "seccomp=unconfined", opt == "seccomp:unconfined":
			found.Filtered = false
		case strings.HasPrefix(opt, "no-new-privileges") && !strings.HasSuffix(opt, "false"):
			found.NoNewPrivileges = true
		}
	}
	for _, bind := range h.Binds {
		source, _, _ := strings.Cut(bind, ":")
		found.Sockets = append(found.Sockets, sockets(source)...)
	}
	for _, m := range h.Mounts {
		found.Sockets = append(found.Sockets, sockets(m.Source)...)
	}
	if h.Privileged {
		found.Shared, found.Filtered = append(found.Shared, "privileged"), false
	}
	for name, mode := range map[string]string{"network": string(h.NetworkMode), "pid": string(h.PidMode), "ipc": string(h.IpcMode), "uts": string(h.UTSMode)} {
		if mode == "host" {
			found.Shared = append(found.Shared, "the host's "+name+" namespace")
		}
	}
	slices.Sort(found.Shared)
	return found
}

// sockets is source if it is where a container engine listens, or has such a place in it.
func sockets(source string) []string {
	for _, name := range []string{"docker.sock", "podman.sock", "containerd.sock", "crio.sock"} {
		if strings.HasSuffix(source, name) {
			return []string{source}
		}
	}
	if slices.Contains([]string{"/", "/run", "/var/run"}, strings.TrimRight(source, "/")) || source == "/" {
		return []string{source}
	}
	return nil
}
