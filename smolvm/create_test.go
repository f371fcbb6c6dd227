package smolvm

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"bottle.internal/smolvm/smolvmtest"
)

var policy = Network{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.77.0.2/32")}}

func TestCreate(t *testing.T) {
	for release, want := range map[string]string{
		"0.8.0":  "machine create --net --allow-cidr 10.77.0.2/32 m",
		"1.0.1":  "machine create --net --allow-cidr 10.77.0.2/32 m",
		"1.0.2":  "machine create --name m --net --allow-cidr 10.77.0.2/32",
		"1.9.3":  "machine create --name m --net --allow-cidr 10.77.0.2/32",
		"17.0.0": "machine create --name m --net --allow-cidr 10.77.0.2/32",
	} {
		c, fake := scripted(t, release, smolvmtest.Reply{Stdout: "Created machine: m\n"})
		if err := c.Create(t.Context(), "m", CreateOptions{Network: policy}); err != nil {
			t.Errorf("%s: %v", release, err)
		}
		wantLines(t, fake, want)
	}
}

// A pack is remembered by its absolute path, whatever directory the caller is in; and a name that looks like a flag is none then.
func TestCreateFromAbsolute(t *testing.T) {
	c, fake := scripted(t, "1.9.3", smolvmtest.Reply{})
	if err := c.Create(t.Context(), "m", CreateOptions{From: "-x.smolmachine"}); err != nil {
		t.Fatal(err)
	}
	abs, err := filepath.Abs("-x.smolmachine")
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, fake, "machine create --name m --from "+abs)
}

func TestCreateExists(t *testing.T) {
	c, _ := scripted(t, "1.9.3", failing("config operation failed: create machine: machine 'm' already exists"))
	wantIs(t, c.Create(t.Context(), "m", CreateOptions{}), ErrExists)
}

func ported(b Backend) CreateOptions {
	return CreateOptions{Network: Network{Enabled: true, Backend: b}, Ports: []Port{{8080, 80}}}
}

// What the release cannot do is refused before a process starts. What it can do is let through.
func TestCreateByRelease(t *testing.T) {
	tsi, virtio := policy, policy
	tsi.Backend, virtio.Backend = TSI, VirtioNet
	for name, row := range map[string]struct {
		o       CreateOptions
		refused map[string]error
		taken   []string
	}{
		"pack and policy":         {CreateOptions{From: "/p", Network: policy}, nil, []string{"1.8.0", "1.9.3"}},
		"pack, policy and init":   {CreateOptions{From: "/p", Network: policy, Init: []string{"true"}}, map[string]error{"1.7.7": ErrUnsupported}, []string{"1.8.0"}},
		"pack without a policy":   {CreateOptions{From: "/p", Network: Network{Enabled: true}}, nil, []string{"0.8.0"}},
		"pack and workdir":        {CreateOptions{From: "/p", Workdir: "/w"}, map[string]error{"0.8.0": ErrUnsupported}, []string{"1.8.0"}},
		"tsi and policy":          {CreateOptions{Network: tsi}, map[string]error{"1.1.3": ErrPolicy, "1.9.3": ErrPolicy}, []string{"0.8.0", "1.1.2"}},
		"virtio and policy":       {CreateOptions{Network: virtio}, map[string]error{"0.8.0": ErrPolicy, "1.0.1": ErrPolicy}, []string{"1.0.2", "1.9.3"}},
		"tsi without a policy":    {CreateOptions{Network: Network{Enabled: true, Backend: TSI}}, nil, []string{"0.8.0", "1.9.3"}},
		"virtio without a policy": {CreateOptions{Network: Network{Enabled: true, Backend: VirtioNet}}, nil, []string{"0.8.0", "1.9.3"}},
		"ports":                   {ported(""), map[string]error{"1.0.2": ErrUnsupported, "1.0.3": ErrUnsupported}, []string{"0.8.0", "1.0.1", "1.0.4", "1.9.3"}},
		"ports on tsi":            {ported(TSI), map[string]error{"1.0.2": ErrUnsupported, "1.0.4": ErrUnsupported, "1.9.3": ErrUnsupported}, []string{"0.8.0", "1.0.1"}},
		"ports on virtio":         {ported(VirtioNet), map[string]error{"1.0.1": ErrUnsupported}, []string{"1.0.2", "1.9.3"}},
		"labels":                  {CreateOptions{Labels: map[string]string{"a": "1"}}, map[string]error{"1.7.7": ErrUnsupported}, []string{"1.8.0"}},
		"local image":             {CreateOptions{Image: "./x.tar"}, map[string]error{"1.0.4": ErrUnsupported}, []string{"1.1.0"}},
		"image reference":         {CreateOptions{Image: "alpine:3"}, nil, []string{"0.8.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			for release, want := range row.refused {
				c, fake := scripted(t, release)
				wantIs(t, c.Create(t.Context(), "m", row.o), want)
				noCalls(t, fake)
			}
			for _, release := range row.taken {
				c, _ := scripted(t, release, smolvmtest.Reply{})
				if err := c.Create(t.Context(), "m", row.o); err != nil {
					t.Errorf("%s: %v", release, err)
				}
			}
		})
	}
}

func TestCreateInvalid(t *testing.T) {
	allow := func(p netip.Prefix) CreateOptions {
		return CreateOptions{Network: Network{AllowCIDRs: []netip.Prefix{p}}}
	}
	for name, o := range map[string]CreateOptions{
		"image and pack":        {Image: "a", From: "b"},
		"image from stdin":      {Image: "-"},
		"image with NUL":        {Image: "a\x00"},
		"pack not UTF-8":        {From: "\xff"},
		"negative CPUs":         {CPUs: -1},
		"negative memory":       {MemoryMiB: -1},
		"relative workdir":      {Workdir: "w"},
		"env without =":         {Env: []string{"A"}},
		"label without key":     {Labels: map[string]string{"": "1"}},
		"label like a flag":     {Labels: map[string]string{"-a": "1"}},
		"label with = in key":   {Labels: map[string]string{"a=b": "1"}},
		"label with NUL":        {Labels: map[string]string{"a": "\x00"}},
		"unknown backend":       {Network: Network{Enabled: true, Backend: "gvproxy"}},
		"backend, no network":   {Network: Network{Backend: TSI}},
		"zero CIDR":             allow(netip.Prefix{}),
		"CIDR with host bits":   allow(netip.MustParsePrefix("10.77.0.2/24")),
		"CIDR, IPv4 in IPv6":    allow(netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.1"), 128)),
		"CIDR too long for it":  allow(netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 33)),
		"IPv6 CIDR, host bits":  allow(netip.MustParsePrefix("fd00::1/64")),
		"host with a scheme":    {Network: Network{AllowHosts: []string{"https://a"}}},
		"host with a port":      {Network: Network{AllowHosts: []string{"a:443"}}},
		"host like a flag":      {Network: Network{AllowHosts: []string{"-a"}}},
		"empty host":            {Network: Network{AllowHosts: []string{""}}},
		"host too long":         {Network: Network{AllowHosts: []string{strings.Repeat("a.", 127)}}},
		"port 0":                {Ports: []Port{{0, 80}}, Network: policy},
		"guest port 0":          {Ports: []Port{{80, 0}}, Network: policy},
		"host port twice":       {Ports: []Port{{80, 80}, {80, 81}}, Network: policy},
		"port, no network":      {Ports: []Port{{80, 80}}},
		"relative volume":       {Volumes: []Volume{{Host: "a", Guest: "/a"}}},
		"volume in a colon":     {Volumes: []Volume{{Host: "/a:b", Guest: "/a"}}},
		"volume on a colon":     {Volumes: []Volume{{Host: "/a", Guest: "/a:b"}}},
		"volume that climbs":    {Volumes: []Volume{{Host: "/a", Guest: "/../a"}}},
		"volume not UTF-8":      {Volumes: []Volume{{Host: "/\xff", Guest: "/a"}}},
		"empty init":            {Init: []string{""}},
		"init like a flag":      {Init: []string{"--net"}},
		"init with NUL":         {Init: []string{"a\x00"}},
		"second CIDR is broken": {Network: Network{AllowCIDRs: []netip.Prefix{policy.AllowCIDRs[0], {}}}},
	} {
		c, fake := scripted(t, "1.9.3")
		if wantIs(t, c.Create(t.Context(), "m", o), ErrInvalid); t.Failed() {
			t.Fatal(name)
		}
		if len(fake.Calls()) > 0 {
			t.Errorf("%s: a process was started", name)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "A1", "9", "bottle-smoke-1a2b", "a_b", "a-b-c", strings.Repeat("x", 128)} {
		if err := checkName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"-", "-a", "_a", "a-", "a--b", "a b", "a.b", "a:b", "a/b", "é", "a\x00", "a\n", strings.Repeat("x", 129)} {
		c, fake := scripted(t, "1.9.3")
		ctx := t.Context()
		_, execErr := c.Exec(ctx, bad, Command{Argv: []string{"true"}})
		_, statusErr := c.Status(ctx, bad)
		for _, err := range []error{
			c.Create(ctx, bad, CreateOptions{}), c.Start(ctx, bad), c.Stop(ctx, bad), c.Delete(ctx, bad), execErr, statusErr,
			c.CopyTo(ctx, bad, "/dev/null", "/x", 0), c.CopyFrom(ctx, bad, "/x", "x"),
			c.CopyDirTo(ctx, bad, "/", "/x"), c.CopyDirFrom(ctx, bad, "/x", "x", DirLimits{}),
			c.Update(ctx, bad, UpdateOptions{CPUs: 1}), errOf(c.DataDir(ctx, bad)), errOf(c.Images(ctx, bad)), errOf(c.Denials(ctx, bad)),
			errOf(c.Prune(ctx, bad, PruneOptions{})), errOf(c.EffectivePolicy(ctx, bad)), errOf(c.PackCreate(ctx, PackOptions{FromMachine: bad, Output: "x"})),
			errOf(c.ExecStream(ctx, bad, Command{Argv: []string{"true"}}, nil, nil)), errOf(c.ExecDetached(ctx, bad, Command{Argv: []string{"true"}})),
			errOf(c.ExecInteractive(ctx, bad, Command{Argv: []string{"true"}}, Terminal{})),
		} {
			if wantIs(t, err, ErrInvalid); t.Failed() {
				t.Fatalf("name %q", bad)
			}
		}
		noCalls(t, fake)
	}
}
