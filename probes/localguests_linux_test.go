package probes

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

func answered(text string) agent.Result {
	return agent.Result{Stage: agent.StageDone, Reply: []byte(text), ElapsedUS: 100}
}

func failedWith(s agent.Stage, errno string) agent.Result {
	return agent.Result{Stage: s, Errno: errno, ElapsedUS: 100}
}

// soundLooks are what a container without a hole in it shows of itself.
var soundLooks = map[agent.Method]string{
	agent.Families:   "AF_INET SOCK_STREAM\nAF_INET6 SOCK_DGRAM\nAF_UNIX SOCK_STREAM\n",
	agent.Sockets:    "/run/own.sock\n@own\n",
	agent.Mounts:     soundMounts,
	agent.Privileges: "uid 0\ngid 0\ncapeff 00000000a80425fb\nno_new_privs 1\nseccomp 2\n",
	agent.Devices:    "c 1:3 /dev/null\nc 1:5 /dev/zero\nmknod b 8:0 EPERM\nmknod c 1:3 opened\n",
	agent.Processes:  "1 init /\n7 bottle-agent /\n",
	agent.Limits:     "memory.max 268435456\npids.max 512\ncpu.max 50000 100000\nmem_total 1073741824\ncpus 1\ndisk_total 4096\n",
}

const soundMounts = `68 92 0:57 / /proc rw - proc none rw
80 92 0:64 / /dev rw,nosuid - tmpfs none rw,size=64k
85 80 0:6 /full /dev/full rw,relatime - devtmpfs devtmpfs rw
92 199 0:44 / / rw,nosuid,nodev,relatime - overlay overlay rw
95 92 254:0 /var/lib/docker/containers/x/hosts /etc/hosts rw - ext4 /dev/vda rw
103 68 0:57 /sys /proc/sys ro,nosuid - proc none rw
`

// confinedGuest is a container with nothing of the host's but its kernel's kind.
func confinedGuest(a agent.Attempt) agent.Result {
	text, listed := soundLooks[a.Method]
	switch {
	case a.Network == agent.Unix:
		return failedWith(agent.StageConnect, "ENOENT")
	case a.Network == agent.VSOCK:
		return failedWith(agent.StageConnect, "ETIMEDOUT")
	case a.Network == agent.Serve:
		time.Sleep(a.Budget()) // as the agent does: the host wants time to try
		return agent.Result{Stage: agent.StageRead, Reply: []byte("self\n"), ElapsedUS: 100}
	case listed:
		return answered(text)
	case a.Path == bootIDPath:
		return answered("11111111-2222-3333-4444-555555555555\n")
	case a.Path == "/proc/sys/kernel/hostname":
		return answered("guest\n")
	case a.Method == agent.SysCall:
		return failedWith(agent.StageDone, "EPERM")
	case a.Method == agent.Search, a.Method == agent.FDs:
		return agent.Result{Stage: agent.StageDone, ElapsedUS: 100}
	case a.Method == agent.Write:
		return failedWith(agent.StageDone, "EROFS")
	}
	return failedWith(agent.StageDone, "ENOENT")
}

// holes are, by row, a guest that has what it must not have. What is not asked of it, the sound guest answers.
var holes = map[string]guest{
	"net.unix.host-path":        dialUnix,
	"net.unix.shared-mount":     dialUnix,
	"net.unix.abstract":         dialUnix,
	"net.unix.inventory":        saying("/var/run/docker.sock"),
	"net.vsock.host.undeclared": saying("22\n"),
	"net.vsock.host.declared":   saying("6001\n"),
	"net.vsock.control.reentry": saying("\x00\x00\x00\x02{}"),
	"net.vsock.peer":            saying("6000\n"),
	"net.vsock.local":           saying("6000\n"),
	"net.vsock.hypervisor":      saying("1\n"),
	"net.af.census":             saying("AF_INET SOCK_STREAM\nAF_VSOCK SOCK_STREAM\n"),
	"net.raw.tun":               saying("allowed"),
	"net.inbound.unpublished":   listenOnHost,
	"net.inbound.loopback-leak": listenOnHost,
	"net.inbound.published":     listenOnHost,
	"net.inbound.ephemeral":     listenOnHost,
	"net.tcp.inherited-fds":     saying("3 socket:[4711]\n"),
	"fs.host-canary.read":       readHost,
	"fs.symlink.escape":         readHost,
	"fs.hardlink.escape":        readHost,
	"fs.protected":              writeHost,
	"fs.mounts.exact":           saying(soundMounts + "104 92 254:0 /home /srv rw - ext4 /dev/vda rw\n"),
	"fs.ro.write":               writeHost,
	"fs.device-nodes":           saying("c 1:3 /dev/null\nmknod b 8:0 opened\n"),
	"env.decoy":                 saying("/proc/1/environ " + planted + "\n"),
	"cred.files.decoy":          readHost,
	"cred.agent":                saying(string([]byte{0, 0, 0, 9, agentIdentities, 0, 0, 0, 2})),
	"cred.host-identity":        readHost,
	"kernel.distinct":           readHost,
	"kernel.attack-surface":     saying("allowed"),
	"priv.identity":             saying("uid 0\ncapeff 000001ffffffffff\n"),
	"dev.inventory":             saying("c 1:3 /dev/null\nc 10:232 /dev/kvm\n"),
	"proc.host-visible":         saying(fmt.Sprintf("1 init /\n%d %s ?\n", os.Getpid(), hostFile("/proc/self/comm"))),
	"res.memory":                saying("memory.max max\nmem_total 999999999999999\n"),
	"res.cpu":                   saying("cpu.max max 100000\ncpus 9999\n"),
	"res.pids":                  saying("pids.max max\n"),
	"res.disk":                  saying(fmt.Sprintf("disk_total %d\n", sizeOfHost().disk)),
}

const planted = DecoyPrefix + "0123456789abcdef0123456789abcdef"

// saying answers every look and dial with text.
func saying(text string) guest { return func(agent.Attempt) agent.Result { return answered(text) } }

// readHost has the host's files, as if they were its own.
func readHost(a agent.Attempt) agent.Result {
	b, err := os.ReadFile(a.Path)
	if err != nil {
		return failedWith(agent.StageDone, "ENOENT")
	}
	return answered(string(b))
}

// writeHost writes to the host's files, below the mount that the test declares.
func writeHost(a agent.Attempt) agent.Result {
	f, err := os.OpenFile(strings.TrimPrefix(a.Path, "/shared"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return failedWith(agent.StageDone, "ENOENT")
	}
	defer func() { _ = f.Close() }()
	_, _ = fmt.Fprintln(f, a.Nonce)
	return agent.Result{Stage: agent.StageDone, ElapsedUS: 100}
}

// dialUnix has the host's sockets.
func dialUnix(a agent.Attempt) agent.Result {
	conn, err := net.DialTimeout("unix", strings.TrimPrefix(a.Path, "/shared"), a.Budget())
	if err != nil {
		return failedWith(agent.StageConnect, "ENOENT")
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(echo.Request(a.Nonce))
	reply, _ := io.ReadAll(io.LimitReader(conn, echo.MaxReply))
	return agent.Result{Stage: agent.StageDone, Reply: reply, ElapsedUS: 100}
}

// listenOnHost serves where the host can come in.
func listenOnHost(a agent.Attempt) agent.Result {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", a.Addr.Port()))
	if err != nil {
		return failedWith(agent.StageSocket, "EADDRINUSE")
	}
	defer func() { _ = l.Close() }()
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(a.Budget()))
	for {
		conn, err := l.Accept()
		if err != nil {
			return agent.Result{Stage: agent.StageRead, Reply: []byte("self\n"), ElapsedUS: 100}
		}
		readMessage(conn, func(_ string, n echo.Nonce) { _, _ = fmt.Fprintln(conn, n) })
		_ = conn.Close()
	}
}
