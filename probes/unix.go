package probes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

const socketControl = "A canary of this run listens on that very socket of the host, with a mode that lets everybody in, and is dialled there before and " +
	"after; it logs that, and never sees a nonce of the probe. The same batch reads " + glancePath + "."

// unixProbes are the probes of family net.unix: sockets of the host that are files or names.
var unixProbes = []Probe{
	{
		ID: "net.unix.host-path", Family: "net.unix", Severity: Critical, Expect: Contain,
		What:    "Connect to a unix socket of the host by its path, as it is there and below the places where a host's files are usually mounted.",
		Why:     "Behind such sockets are container engines, agents that hold keys, and desktops: root on the host for whoever connects.",
		Control: socketControl,
		Remedy:  "Mount no directory of the host that holds sockets. On smolvm a tsi that hijacks AF_UNIX is a broken build: the kernel's parameter is tsi_hijack_unix.",
		Source:  "libkrun#410, libkrun#510 (unix sockets through TSI)", Where: everywhere,
		aims: (*rig).hostSocketAims,
	},
	{
		ID: "net.unix.shared-mount", Family: "net.unix", Severity: High, Expect: Contain,
		What:    "Connect to a socket that the host put into a directory which it shares with the guest.",
		Why:     "A container that shares a directory shares the sockets in it; a VM does not, unless something carries them over.",
		Control: socketControl,
		Remedy:  "Keep sockets out of shared directories, or mount a directory of their own for those that are meant.",
		Source:  "microsandbox (sockets carried over a mount with socat)",
		Where:   "Where a directory of the host is declared as shared and its place on the host is known.",
		aims:    (*rig).sharedSocketAims,
	},
	{
		ID: "net.unix.inventory", Family: "net.unix", Severity: High, Expect: Contain,
		What:    "List the unix sockets in the usual directories, and those that the kernel tells of.",
		Why:     "A socket of a container engine, of ssh or gpg agents, or of a desktop in a guest is a door that somebody left there.",
		Control: "A canary's socket of random name is on the host, and its name is a leak wherever it turns up. " + lookControl,
		Remedy:  "Take the mount away that the socket came with, or declare it.",
		Source:  "sandbox-probe; srt#429 (sockets visible in the sandbox)", Where: everywhere,
		aims: (*rig).inventoryAims,
	},
	{
		ID: "net.unix.abstract", Family: "net.unix", Severity: High, Expect: Contain,
		What:    "Connect to a socket of the host that has a name and no file.",
		Why:     "Abstract names belong to a network namespace and to nothing else: a sandbox that shares it, or bars files only, lets them through.",
		Control: socketControl,
		Remedy:  "Give the sandbox a network namespace of its own; a wall of file permissions does not see abstract names.",
		Source:  "codex#26625", Where: "On a Linux host: elsewhere there are no abstract names.",
		aims: (*rig).abstractAims,
	},
}

// socketDir makes a directory on the host for a socket, with a path that fits into an address.
func socketDir(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, dirName)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// hostSocket is a canary's socket in a directory of its own, one for the run.
func (r *rig) hostSocket() (*post, string, error) {
	if r.socket.post != nil || r.socket.err != nil {
		return r.socket.post, r.socket.path, r.socket.err
	}
	r.socket.post, r.socket.path, r.socket.err = r.socketIn("/tmp")
	return r.socket.post, r.socket.path, r.socket.err
}

// A hostSocket is the canary that rows share.
type hostSocket struct {
	post *post
	path string
	err  error
}

// socketIn is a canary's socket in a new directory of parent, which is removed with it.
func (r *rig) socketIn(parent string) (*post, string, error) {
	dir, err := socketDir(parent)
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(dir, "canary.sock")
	p, err := r.socketPost(path, dir)
	if err != nil {
		return nil, "", errors.Join(err, os.RemoveAll(dir))
	}
	return p, path, nil
}

// dialSocket is a dial of the unix socket at path with p behind it.
func dialSocket(path string, p *post) aim {
	return aim{network: agent.Unix, path: path, wall: kernelWall, post: p}
}

func (r *rig) hostSocketAims() ([]aim, absence) {
	p, path, err := r.hostSocket()
	if err != nil {
		return nil, absence{why: "no socket could be put on the host: " + err.Error(), unproven: true}
	}
	var aims []aim
	for _, prefix := range hostPrefixes {
		aims = append(aims, dialSocket(prefix+path, p))
	}
	return aims, absence{}
}

func (r *rig) sharedSocketAims() ([]aim, absence) {
	var aims []aim
	none := absence{why: "no directory of the host is declared as shared with the guest"}
	for _, m := range r.site.Declared.Mounts {
		if m.Host == "" {
			continue
		}
		p, path, err := r.socketIn(m.Host)
		if err != nil {
			none = absence{why: fmt.Sprintf("no socket could be put into %q: %v", m.Host, err), unproven: true}
			continue
		}
		aims = append(aims, dialSocket(m.Guest+strings.TrimPrefix(path, m.Host), p))
	}
	if len(aims) > 0 {
		none = absence{}
	}
	return aims, none
}

func (r *rig) abstractAims() ([]aim, absence) {
	if runtime.GOOS != "linux" {
		return nil, absence{why: "this host is " + runtime.GOOS + ", which has no abstract names"}
	}
	name := "@bottle-" + string(echo.NewNonce())
	p, err := r.socketPost(name, "")
	if err != nil {
		return nil, absence{why: err.Error(), unproven: true}
	}
	return []aim{dialSocket(name, p)}, absence{}
}

// doors are sockets that lead to something which trusts whoever connects, as they are called everywhere.
var doors = []string{
	"docker.sock", "containerd.sock", "containerd-debug.sock", "buildkitd.sock", "crio.sock", "podman.sock", "libvirt-sock*", "lxd*.socket",
	"agent.[0-9]*", "S.gpg-agent*", "ssh-auth.sock", "ssh-agent*", "system_bus_socket", "bus", "wayland-[0-9]*", "X[0-9]*", "pipewire-[0-9]*",
	"kubelet.sock", "snapd.socket", "tailscaled.sock", "private",
}

func (r *rig) inventoryAims() ([]aim, absence) {
	a := look(agent.Sockets, "", nil)
	canary := ""
	if p, path, err := r.hostSocket(); err == nil {
		a.post, canary = p, path
	}
	a.shows = func(reply []byte) string { return r.site.Declared.strayDoors(reply, canary) }
	return []aim{a}, absence{}
}

// strayDoors are the sockets that are known doors and not declared, and the canary's.
func (d Declared) strayDoors(reply []byte, canary string) string {
	if canary != "" && slices.ContainsFunc(lines(reply), func(l string) bool { return strings.HasSuffix(l, canary) }) {
		return "the guest sees the host's socket " + canary
	}
	var stray []string
	for _, socket := range lines(reply) {
		if matches(filepath.Base(socket), doors...) && !matches(socket, d.Sockets...) {
			stray = append(stray, socket)
		}
	}
	return undeclared("sockets that nobody declared", stray)
}
