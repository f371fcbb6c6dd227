//go:build linux

package sim

import "fmt"

// The API's objects; the names are those of smolvm's src/api/types.rs. Fields of a request that are not here are dropped without
// a word, as smolvm drops what it does not know.

type apiCreate struct {
	Name         *string    `json:"name"`
	From         string     `json:"from"`
	Image        string     `json:"image"`
	CPUs         int        `json:"cpus"`
	MemoryMB     int        `json:"memoryMb"`
	StorageGB    int        `json:"storageGb"`
	OverlayGB    int        `json:"overlayGb"`
	Network      bool       `json:"network"`
	Backend      string     `json:"networkBackend"`
	AllowedCIDRs *[]string  `json:"allowedCidrs"` // an empty list is a policy that lets nothing through
	AllowedHosts []string   `json:"allowedHosts"`
	Mounts       []apiMount `json:"mounts"`
	Ports        []apiPort  `json:"ports"`
	Env          []apiEnv   `json:"env"`
	Workdir      string     `json:"workdir"`
}

type apiMount struct {
	Tag      string `json:"tag,omitempty"`
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readonly"`
}

type apiPort struct {
	Host  uint16 `json:"host"`
	Guest uint16 `json:"guest"`
}

type apiEnv struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type apiExec struct {
	Command     []string `json:"command"`
	Env         []apiEnv `json:"env"`
	Workdir     string   `json:"workdir"`
	TimeoutSecs uint32   `json:"timeoutSecs"` // 0 = none
	Background  bool     `json:"background"`
	Stdin       *string  `json:"stdin"`
}

type apiResult struct {
	ExitCode int    `json:"exitCode"`
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
}

// A machineInfo is a machine's record. Of the fields since 1.3.0 the first release is not known; 0.8.0 lacks them.
type machineInfo struct {
	Name         string     `json:"name"`
	State        string     `json:"state"`
	CPUs         int        `json:"cpus"`
	MemoryMB     int        `json:"memoryMb"`
	PID          int        `json:"pid,omitempty"`
	Mounts       []apiMount `json:"mounts"`
	Ports        []apiPort  `json:"ports"`
	Network      bool       `json:"network"`
	StorageGB    int        `json:"storageGb"`
	OverlayGB    int        `json:"overlayGb"`
	CreatedAt    int64      `json:"createdAt"`
	Backend      string     `json:"networkBackend,omitempty"`
	AllowedCIDRs *[]string  `json:"allowedCidrs,omitempty"`
	AllowedHosts []string   `json:"allowedHosts,omitempty"`
}

// The sizes of disks nobody asked a size for, GiB.
const (
	defaultStorageGB = 20
	defaultOverlayGB = 10
)

// apiGrown is from where on the record tells the network's backend and policy, and a request may name the first.
var apiGrown = release{1, 3, 0}

func (f features) info(r record, state string) machineInfo {
	i := machineInfo{
		Name: r.Name, State: state, CPUs: r.CPUs, MemoryMB: r.MemoryMiB, Mounts: []apiMount{}, Ports: []apiPort{}, Network: r.Network,
		StorageGB: r.StorageGB, OverlayGB: r.OverlayGB, CreatedAt: r.CreatedAt,
	}
	if i.StorageGB == 0 {
		i.StorageGB = defaultStorageGB
	}
	if i.OverlayGB == 0 {
		i.OverlayGB = defaultOverlayGB
	}
	if state != stateStopped {
		i.PID = r.PID
	}
	for n, v := range r.Volumes {
		i.Mounts = append(i.Mounts, apiMount{Tag: fmt.Sprintf("smolvm%d", n), Source: v.Host, Target: v.Guest, ReadOnly: v.ReadOnly})
	}
	for _, p := range r.Ports {
		i.Ports = append(i.Ports, apiPort{p.Host, p.Guest})
	}
	if f.Release.atLeast(apiGrown) {
		i.Backend, i.AllowedHosts = r.Backend, r.Hosts
		if r.Policy {
			allow := append([]string{}, r.Allow...)
			i.AllowedCIDRs = &allow
		}
	}
	return i
}

// argv is the command line that makes the same machine, without its policy.
func (c apiCreate) argv() []string {
	var args []string
	text := func(flag, value string) {
		if value != "" {
			args = append(args, flag+"="+value)
		}
	}
	number := func(flag string, n int) {
		if n != 0 {
			args = append(args, fmt.Sprintf("%s=%d", flag, n))
		}
	}
	text("--from", c.From)
	text("--image", c.Image)
	number("--cpus", c.CPUs)
	number("--mem", c.MemoryMB)
	number("--storage", c.StorageGB)
	number("--overlay", c.OverlayGB)
	text("--net-backend", c.Backend)
	text("--workdir", c.Workdir)
	if c.Network {
		args = append(args, "--net")
	}
	for _, m := range c.Mounts {
		spec := m.Source + ":" + m.Target
		if m.ReadOnly {
			spec += ":ro"
		}
		text("--volume", spec)
	}
	for _, p := range c.Ports {
		text("--port", fmt.Sprintf("%d:%d", p.Host, p.Guest))
	}
	for _, kv := range specs(c.Env) {
		text("--env", kv)
	}
	return args
}

func specs(env []apiEnv) []string {
	var out []string
	for _, e := range env {
		out = append(out, e.Name+"="+e.Value)
	}
	return out
}
