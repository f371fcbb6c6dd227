package bottletest

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/testcontainers/testcontainers-go"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/smolvm"
)

// TestMachinePublishes shows for both backends how a bundle's ports come to the alias: by the address that its daemons choose
// on tsi, by SMOLVM_PUBLISH_ADDR on virtio-net.
func TestMachinePublishes(t *testing.T) {
	ports := map[uint16]uint16{canaryPort: 40001, proxyPort: 40002, egressPort: 40003}
	broken := []testcontainers.ContainerCustomizer{bundle.WithListen("egress", netip.AddrPortFrom(netip.IPv4Unspecified(), egressPort))}
	for name, tc := range map[string]struct {
		version smolvm.Version
		options []testcontainers.ContainerCustomizer
		ports   []smolvm.Port
		listens []string
	}{
		"tsi": {
			smolvm.Version{Minor: 8}, nil,
			[]smolvm.Port{{Host: 40002, Guest: 40002}, {Host: 40003, Guest: 40003}, {Host: 40001, Guest: 40001}},
			[]string{"BOTTLE_PROXY_LISTEN=127.0.0.16:40002", "BOTTLE_EGRESS_LISTEN=127.0.0.1:9099", "BOTTLE_CANARY_LISTEN=127.0.0.16:40001"},
		},
		"tsi, egress open": {
			smolvm.Version{Minor: 8}, broken,
			[]smolvm.Port{{Host: 40002, Guest: 40002}, {Host: 40003, Guest: 40003}, {Host: 40001, Guest: 40001}},
			[]string{"BOTTLE_EGRESS_LISTEN=127.0.0.16:40003", "BOTTLE_PROXY_UPSTREAM=http://127.0.0.16:40003"},
		},
		"virtio-net": {
			smolvm.Version{Major: 1, Minor: 9}, nil,
			[]smolvm.Port{{Host: 40002, Guest: proxyPort}, {Host: 40003, Guest: egressPort}, {Host: 40001, Guest: canaryPort}},
			[]string{"BOTTLE_PROXY_LISTEN=0.0.0.0:8888", "BOTTLE_EGRESS_LISTEN=127.0.0.1:9099", "BOTTLE_CANARY_LISTEN=0.0.0.0:9797"},
		},
		"virtio-net, egress open": {
			smolvm.Version{Major: 1, Minor: 9}, broken,
			[]smolvm.Port{{Host: 40002, Guest: proxyPort}, {Host: 40003, Guest: egressPort}, {Host: 40001, Guest: canaryPort}},
			[]string{"BOTTLE_EGRESS_LISTEN=0.0.0.0:9099", "BOTTLE_PROXY_UPSTREAM=http://127.0.0.1:9099"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &machineSidecar{cfg: Config{BundleOptions: tc.options}, secret: echo.NewSecret(), engine: &guestEngine{version: tc.version}}
			p := NewPlan(Config{}, "s", Location{Topology: Alias, Runtime: Machine, Alias: loop(16), Ports: ports}, tc.version)
			o := s.createOptions(p, map[string]string{"a": "b"})
			if diff := cmp.Diff(tc.ports, o.Ports); diff != "" || !o.Network.Enabled || o.Network.AllowCIDRs != nil {
				t.Errorf("created with %+v: %s", o, diff)
			}
			if labelled := o.Labels != nil; labelled != tc.version.AtLeast(1, 8, 0) {
				t.Errorf("labels %v at %s", o.Labels, tc.version)
			}
			backend, err := publishBackend(tc.version)
			if err != nil {
				t.Fatal(err)
			}
			remote, err := s.describeRemote(p, backend)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range tc.listens {
				if !strings.Contains(string(remote.Settings()), line+"\n") {
					t.Errorf("no %q in\n%s", line, remote.Settings())
				}
			}
			again, err := bundle.RecallRemote(s.place(), remote.Settings())
			if err != nil || again.Canary() != remote.Canary() || again.Secret() != s.secret {
				t.Errorf("read back from its settings: %+v, %v", again, err)
			}
		})
	}
}

// TestContainersOptionsAreRefused: what is about a container would be dropped without a word in a machine.
func TestContainersOptionsAreRefused(t *testing.T) {
	for _, o := range []testcontainers.ContainerCustomizer{
		testcontainers.WithEnv(map[string]string{"A": "b"}),
		bundle.WithPublish(loop(16), bundle.Published{Container: egressPort}),
		bundle.WithCanaryPorts(canaryPort),
	} {
		s := &machineSidecar{cfg: Config{BundleOptions: []testcontainers.ContainerCustomizer{o}}}
		if _, err := s.describeRemote(Plan{}, smolvm.VirtioNet); err == nil {
			t.Errorf("%T is taken in a machine", o)
		}
	}
}

// TestGuestsFaultsSpareTheBundle: with the fault of a broken guest in both machines, what turns red would be the wrong one.
func TestGuestsFaultsSpareTheBundle(t *testing.T) {
	for in, want := range map[string][]string{
		"no-network": {"A=1"},
		"no-network,publish-all-interfaces,exec-137-once": {"A=1", "SMOLVM_SIM_FAULTS=publish-all-interfaces"},
	} {
		e := &guestEngine{client: &smolvm.Client{Path: "/x", Env: []string{"A=1", "SMOLVM_SIM_FAULTS=" + in}, Rewrite: func(a []string) []string { return nil }}}
		s := &machineSidecar{}
		s.use(e)
		if diff := cmp.Diff(want, s.engine.client.Env); diff != "" || s.engine.client.Rewrite != nil {
			t.Errorf("%s: rewritten %v: %s", in, s.engine.client.Rewrite != nil, diff)
		}
	}
}
