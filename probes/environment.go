package probes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// credentialProbes are the probes of families env and cred: what the host knows and a guest must not.
var credentialProbes = []Probe{
	{
		ID: "env.decoy", Family: "env", Severity: Critical, Expect: Contain,
		What:    "Search environments, command lines and the kernel's command line and log for a text that was planted in the environment of whoever launched the sandbox.",
		Why:     "Tokens live in environments. A launcher that hands its own on hands them all on.",
		Control: "The text is random and was given to the launcher only; the guest is told its beginning, so what comes back whole was found. The same batch reads " + glancePath + ".",
		Remedy:  "Start the guest with an environment that is made up of what it needs.",
		Source:  "vetto ENV-LEAK; smolvm hands SMOLVM_* variables to its boot process", Where: "Where whoever launched the sandbox planted a text, as bottletest does.",
		aims: (*rig).environmentAims,
	},
	{
		ID: "cred.files.decoy", Family: "cred", Severity: Critical, Expect: Contain,
		What:    "Read files that were planted beside the host's credentials: in .aws, .ssh, .docker, .kube, .config and the like, as far as the host has them.",
		Why:     "They are what an attacker looks for first, and whoever holds them is the user.",
		Control: decoyControl, Remedy: "Take out the mount that the file came by; fs.mounts.exact names it.",
		Source: "sandbox-probe#41", Where: "Where the host has such a directory.",
		aims: func(r *rig) ([]aim, absence) { return r.decoyAims(agent.Read, credentialDirs()...) },
	},
	{
		ID: "cred.agent", Family: "cred", Severity: Critical, Expect: Contain,
		What:    "Ask for identities at every socket where an ssh agent may be: the host's own, those that sandboxes bring in, and vsock port 6001.",
		Why:     "An agent signs for whoever connects: the guest logs in as the user wherever the user can.",
		Control: "An agent's answer has a form of its own, and is red by the guest's word. " + lookControl,
		Remedy:  "Launch without agent forwarding (smolvm: --ssh-agent), or declare the socket.",
		Source:  "smolvm v0.8.0 launcher.rs (--ssh-agent opens the host's agent to every process of the guest)", Where: "Everywhere; by vsock not on the simulator.",
		aims: (*rig).agentAims,
	},
	{
		ID: "cred.host-identity", Family: "cred", Severity: Low, Expect: Contain,
		What:    "Compare the guest's host name and machine id with the host's.",
		Why:     "They tell whose machine it is, and some services take a machine id for a licence or a secret.",
		Control: "The host reads its own; what the guest has leaks only if it is the same. The same batch reads " + glancePath + ".",
		Remedy:  "Give the guest names of its own, or declare that it has the host's.",
		Source:  "sandbox-probe", Where: everywhere,
		aims: (*rig).identityAims,
	},
}

func (r *rig) environmentAims() ([]aim, absence) {
	if len(r.site.Planted) == 0 {
		return nil, absence{why: "nothing was planted in the environment of whoever launched the sandbox", unproven: true}
	}
	found := contains("a text that was planted in the launcher's environment, and nowhere else, came out of the guest", r.site.Planted...)
	return []aim{look(agent.Search, DecoyPrefix, found)}, absence{}
}

// credentialDirs are those of the usual places that this host has.
func credentialDirs() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var all []string
	for _, name := range []string{".aws", ".ssh", ".docker", ".kube", ".gnupg", ".config", ".config/gcloud", ".config/gh", ".mozilla", "Library/Keychains"} {
		dir := filepath.Join(home, name)
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			all = append(all, dir)
		}
	}
	return all
}

const (
	sshAgentPort = 6001 // where smolvm --ssh-agent has it, on the host's CID
	// The numbers of the ssh agent's protocol (draft-miller-ssh-agent).
	agentFailure, agentRequestIdentities, agentIdentities = 5, 11, 12
)

// agentSockets are where sandboxes put the host's agent.
var agentSockets = []string{"/run/host-services/ssh-auth.sock", "/run/ssh-agent.sock", "/tmp/ssh-agent.sock", "/ssh-agent", "/run/smolvm/ssh-agent.sock"}

func (r *rig) agentAims() ([]aim, absence) {
	places := slices.Clone(agentSockets)
	if own := os.Getenv("SSH_AUTH_SOCK"); filepath.IsAbs(own) {
		for _, prefix := range hostPrefixes {
			places = append(places, prefix+own)
		}
	}
	var aims []aim
	for _, path := range places {
		if !matches(path, r.site.Declared.Sockets...) {
			aims = append(aims, aim{network: agent.Unix, path: path, wall: kernelWall, send: askIdentities, shows: agentAnswer})
		}
	}
	if !r.site.Simulated && !slices.Contains(r.site.Declared.VSOCKPorts, sshAgentPort) {
		aims = append(aims, aim{network: agent.VSOCK, cid: cidHost, vport: sshAgentPort, wall: kernelWall, send: askIdentities, shows: agentAnswer, budget: sweepBudget})
	}
	return aims, absence{}
}

// askIdentities is the request for an agent's list of keys.
func askIdentities(echo.Nonce) [][]byte { return [][]byte{{0, 0, 0, 1, agentRequestIdentities}} }

// agentAnswer shows what an ssh agent answered.
func agentAnswer(reply []byte) string {
	switch {
	case len(reply) < 5:
		return ""
	case reply[4] == agentIdentities && len(reply) >= 9:
		return fmt.Sprintf("an ssh agent answered the guest, with %d identities", binary.BigEndian.Uint32(reply[5:9]))
	case reply[4] == agentFailure && bytes.Equal(reply[:4], []byte{0, 0, 0, 1}):
		return "an ssh agent answered the guest, with a refusal"
	}
	return ""
}

// identityFiles are where a guest says who it is, by what it says there.
var identityFiles = map[string][]string{
	"host name":  {"/proc/sys/kernel/hostname", "/etc/hostname"},
	"machine id": {"/etc/machine-id", "/var/lib/dbus/machine-id"},
}

func (r *rig) identityAims() ([]aim, absence) {
	known := map[string]string{"machine id": hostFile("/etc/machine-id")}
	if name, err := os.Hostname(); err == nil && name != r.site.Declared.Hostname && name != "localhost" {
		known["host name"] = name
	}
	var aims []aim
	for _, what := range []string{"host name", "machine id"} {
		for _, file := range identityFiles[what] {
			if known[what] != "" {
				aims = append(aims, look(agent.Read, file, is("the guest has the host's "+what+" in "+file, known[what])))
			}
		}
	}
	if len(aims) == 0 {
		return nil, absence{why: "the host's own name, and machine id could not be found out", unproven: true}
	}
	return aims, absence{}
}

// hostFile is what this host has in a small file, without blanks around it; "" if it has none.
func hostFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}
