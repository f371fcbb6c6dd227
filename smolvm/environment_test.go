package smolvm

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

func TestScrub(t *testing.T) {
	keep := []string{"HOME=/h", "PATH=/bin", "XDG_CACHE_HOME=/c", "TMPDIR=/t", "USER=u", "LOGNAME=u", "LANG=C", "LC_ALL=C", "SSL_CERT_FILE=/s", "SSL_CERT_DIR=/d", "DOCKER_CONFIG=/k"}
	drop := []string{"SMOLVM_MACHINE_NAME=other", "SMOLVM_PUBLISH_ADDR=0.0.0.0", "SMOLVM_EGRESS_FLOOR=off", "SMOLVM_BOOT_DEBUG=1", "SMOLVM_SIM_WORLD=open",
		"RUST_LOG=trace", "GITHUB_TOKEN=x", "DOCKER_HOST=unix:///d", "HTTP_PROXY=p", "HOMEBREW_PREFIX=/", "LANGUAGE=de", "XDG=1", "=C:=1", "nothing"}
	if diff := cmp.Diff(keep, scrub(append(slices.Clone(drop), keep...))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMerge(t *testing.T) {
	got := merge([]string{"A=1", "B=1"}, nil, []string{"B=2=2", "C=1"}, []string{"A=3"})
	if diff := cmp.Diff([]string{"A=3", "B=2=2", "C=1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStartEnv(t *testing.T) {
	private, metadata := []string{"SMOLVM_EGRESS_ALLOW_PRIVATE=1"}, []string{"SMOLVM_EGRESS_FLOOR=metadata"}
	const at = "SMOLVM_PUBLISH_ADDR=10.0.0.7"
	published := StartOptions{PublishAddr: netip.MustParseAddr("10.0.0.7")}
	for _, row := range []struct {
		v      Version
		policy bool
		o      StartOptions
		want   []string
	}{
		{release(0, 8, 0), true, StartOptions{}, nil},
		{release(1, 0, 3), true, StartOptions{}, nil},
		{release(1, 0, 4), true, StartOptions{}, private},
		{release(1, 0, 4), false, StartOptions{}, nil},
		{release(1, 1, 2), true, StartOptions{}, private},
		{release(1, 1, 3), true, StartOptions{}, nil},
		{release(1, 3, 8), true, StartOptions{}, nil},
		{release(1, 3, 9), true, StartOptions{}, metadata},
		{release(1, 9, 3), false, StartOptions{}, metadata},
		{release(1, 0, 4), false, published, append([]string{at}, private...)},
		{release(1, 3, 8), true, published, append([]string{at}, private...)},
		{release(1, 3, 9), true, published, append([]string{at}, metadata...)},
	} {
		if diff := cmp.Diff(row.want, startEnv(row.v, row.policy, row.o)); diff != "" {
			t.Errorf("%s, policy %t (-want +got):\n%s", row.v, row.policy, diff)
		}
	}
}

// What a process really gets: the scrubbed environment, Client.Env over it, an empty stdin, and the floor on start alone.
func TestProcessEnvironment(t *testing.T) {
	t.Setenv("SMOLVM_PUBLISH_ADDR", "0.0.0.0")
	t.Setenv("SECRET_TOKEN", "x")
	t.Setenv("RUST_LOG", "trace")
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{}, smolvmtest.Reply{})
	c.Env = []string{"HOME=/elsewhere", "SMOLVM_AGENT_ROOTFS=/r"}
	if err := c.Start(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"HOME": "/elsewhere", "SMOLVM_AGENT_ROOTFS": "/r", "RUST_LOG": "smolvm=error", "PATH": os.Getenv("PATH")}
	for _, call := range fake.Calls() {
		if !call.StdinEmpty {
			t.Errorf("%s: stdin is not %s", call, os.DevNull)
		}
		for k, v := range want {
			if got, _ := call.Lookup(k); got != v {
				t.Errorf("%s: %s=%q, want %q", call, k, got, v)
			}
		}
		for _, k := range []string{"SMOLVM_PUBLISH_ADDR", "SECRET_TOKEN"} {
			if got, ok := call.Lookup(k); ok {
				t.Errorf("%s: %s=%q got through", call, k, got)
			}
		}
		if _, ok := call.Lookup("SMOLVM_EGRESS_FLOOR"); ok != slices.Contains(call.Argv, "start") {
			t.Errorf("%s: SMOLVM_EGRESS_FLOOR set: %t", call, ok)
		}
		if call.Apart != slices.Contains(call.Argv, "machine") {
			t.Errorf("%s: in a process group of its own: %t", call, call.Apart)
		}
	}
}

func TestPolicyOpensPrivateFloorOnStart(t *testing.T) {
	c, fake := scripted(t, "1.0.4", smolvmtest.Reply{}, smolvmtest.Reply{}, smolvmtest.Reply{}, smolvmtest.Reply{})
	for name, n := range map[string]Network{"held": {AllowCIDRs: everythingCreate.Network.AllowCIDRs}, "open": {Enabled: true}} {
		if err := c.Create(t.Context(), name, CreateOptions{Network: n}); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	for _, call := range fake.Calls() {
		_, ok := call.Lookup("SMOLVM_EGRESS_ALLOW_PRIVATE")
		if want := strings.HasSuffix(call.String(), "start --name held"); ok != want {
			t.Errorf("%s: SMOLVM_EGRESS_ALLOW_PRIVATE set: %t, want %t", call, ok, want)
		}
	}
}

func TestBadClientEnv(t *testing.T) {
	for _, kv := range []string{"NOVALUE", "=x", "A=\x00"} {
		c, fake := scripted(t, "1.9.3")
		c.Env = []string{kv}
		_, err := c.List(t.Context())
		wantIs(t, err, ErrInvalid)
		noCalls(t, fake)
	}
}
