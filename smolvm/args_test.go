package smolvm

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// everything has every option set; what cannot go together is for checkRelease and not for the builders.
var (
	everythingCreate = CreateOptions{
		Image: "alpine:3.20", From: "/packs/agent.smolmachine", CPUs: 2, MemoryMiB: 1024,
		Network: Network{
			Enabled: true, Backend: VirtioNet,
			AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.77.0.2/32"), netip.MustParsePrefix("fd00::/64")},
			AllowHosts: []string{"api.example.com", "db"}, LoopbackOnly: true, DenyAll: true, // of which no argument speaks: the API is told
		},
		Ports: []Port{{8080, 80}, {8443, 443}}, Volumes: []Volume{{"/host/a b", "/guest/a", true}, {"/b", "/b", false}}, Init: []string{"apk add jq", "true"},
		Env: []string{"A=1", "B=two words", "EMPTY="}, Workdir: "/work dir", Labels: map[string]string{"b": "2", "a": "1=1"},
	}
	everythingPack = PackOptions{
		Image: "alpine:3.20", FromMachine: "m", Output: "/packs/agent", CPUs: 2, MemoryMiB: 1024, Platform: "linux/arm64",
	}
	everythingUpdate = UpdateOptions{
		CPUs: 2, MemoryMiB: 1024, StorageGiB: 30, OverlayGiB: 20, Net: true, NoNet: true,
		Volumes: []Volume{{"/a", "/a", true}}, RemoveVolumes: []Volume{{"/b", "/b", false}}, Ports: []Port{{1, 2}}, RemovePorts: []Port{{3, 4}},
		Env: []string{"A=1"}, RemoveEnv: []string{"B"}, Workdir: "/w", AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		RemoveCIDRs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, AllowHosts: []string{"a"}, RemoveHosts: []string{"b"}, LoopbackOnly: true,
	}
	everythingPrune = PruneOptions{All: true, DryRun: true}
	everythingExec  = Command{
		Argv: []string{"sh", "-c", "echo \"$1\"", "--", "--name", "x y", ""}, Env: []string{"A=1", "B=--"}, Dir: "/tmp", Timeout: 1500 * time.Millisecond,
		Waiter: "/.bottle/agent",
	}
)

func TestArgs(t *testing.T) {
	for _, v := range []Version{release(0, 8, 0), release(1, 9, 3)} {
		t.Run(v.String(), func(t *testing.T) {
			rows := []struct {
				name string
				argv []string
			}{
				{"version", versionArgs()},
				{"create, defaults", createArgs(v, "m", CreateOptions{})},
				{"create, policy alone", createArgs(v, "m", CreateOptions{Network: Network{AllowCIDRs: everythingCreate.Network.AllowCIDRs[:1]}})},
				{"create, everything set", createArgs(v, "m", everythingCreate)},
				{"start", startArgs("m")},
				{"stop", stopArgs("m")},
				{"delete", deleteArgs(v, "m")},
				{"status", statusArgs("m")},
				{"list", listArgs()},
				{"exec, defaults", execArgs("m", "NONCE", Command{Argv: []string{"true"}})},
				{"exec, everything set", execArgs("m", "NONCE", everythingExec)},
				{"exec interactively, defaults", interactiveArgs("m", Command{}, false, []string{"true"})},
				{"exec interactively, everything set", interactiveArgs("m", everythingExec, true, everythingExec.Argv)},
				{"exec detached, defaults", detachArgs("m", Command{Argv: []string{"true"}})},
				{"exec detached, everything set", detachArgs("m", everythingExec)},
				{"update, defaults", updateArgs(v, "m", UpdateOptions{})},
				{"update, everything set", updateArgs(v, "m", everythingUpdate)},
				{"data-dir", dataDirArgs(v, "m")},
				{"images", imagesArgs("m")},
				{"prune, defaults", pruneArgs("m", PruneOptions{})},
				{"prune, everything set", pruneArgs("m", everythingPrune)},
				{"egress-events", denialsArgs("m")},
				{"serve start", serveArgs("/run/s")},
				{"pack create, defaults", packCreateArgs(PackOptions{Image: "alpine:3.20", Output: "/packs/agent"})},
				{"pack create, everything set", packCreateArgs(everythingPack)},
				{"cp in", copyToArgs(v, "m", "/host/f", "/guest/f:1", 0o755)},
				{"cp out", copyFromArgs("m", "/guest/f:1", "./f")},
			}
			var text strings.Builder
			for _, r := range rows {
				fmt.Fprintf(&text, "%s\t%q\n", r.name, r.argv)
			}
			golden(t, "argv/"+v.String()+".golden", text.String())
		})
	}
}

// A new option must be in the rows above, or nobody sees that the builder forgets it.
func TestEverythingIsSet(t *testing.T) {
	for _, opts := range []any{everythingCreate, everythingCreate.Network, everythingPack, everythingUpdate, everythingPrune, everythingExec} {
		v := reflect.ValueOf(opts)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%T.%s is zero in the row \"everything set\"", opts, v.Type().Field(i).Name)
			}
		}
	}
}

func TestHumantime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1:                        "1ms",
		time.Millisecond:         "1ms",
		time.Millisecond + 1:     "2ms",
		999*time.Millisecond + 1: "1s",
		1500 * time.Millisecond:  "1500ms",
		30 * time.Second:         "30s",
		time.Hour:                "3600s",
	} {
		if got := humantime(d); got != want {
			t.Errorf("humantime(%d ns) = %q, want %q", d, got, want)
		}
	}
}

func TestRender(t *testing.T) {
	argv := append([]string{"/bin/smolvm"}, execArgs("m", "NONCE", Command{Argv: []string{"echo", "it's", "-e", "A=1"}, Env: []string{"TOKEN=secret"}})...)
	if got, want := render(argv), `/bin/smolvm machine exec --name m --stream -e TOKEN=… -- echo 'it'\''s' -e A=1`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
