package bundle

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/moby/moby/client"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func nothing() ([]occupied, error) { return nil, nil }

var errOverlap = errors.New("daemon: Pool overlaps with other one on this address space")

func TestPick(t *testing.T) {
	vpn := func() ([]occupied, error) {
		return []occupied{{netip.MustParsePrefix("10.77.0.0/20"), "route via tun0"}}, nil
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("10.79.%d.0/24", i)
	}
	tests := []struct {
		name       string
		candidates []string
		occupied   func() ([]occupied, error)
		taken      []string // the engine's
		want       string
		tries      int
	}{
		{"the first", []string{"10.77.1.0/24"}, nothing, nil, "10.77.1.0/24", 1},
		{"the engine has it", []string{"10.77.1.0/24", "10.77.2.0/24"}, nothing, []string{"10.77.1.0/24"}, "10.77.2.0/24", 2},
		{"a VPN has it", []string{"10.77.1.0/24", "10.77.16.0/24"}, vpn, nil, "10.77.16.0/24", 1},
		{"all taken", []string{"10.77.1.0/24", "10.77.16.0/24"}, vpn, []string{"10.77.16.0/24"}, "", 1},
		{"bounded", many, nothing, many, "", 16},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tries := 0
			got, err := picker{slices.Values(prefixes(tt.candidates...)), tt.occupied}.pick(func(p netip.Prefix) error {
				tries++
				if slices.Contains(tt.taken, p.String()) {
					return errOverlap
				}
				return nil
			})
			if tries != tt.tries {
				t.Errorf("%d tries, want %d", tries, tt.tries)
			}
			if tt.want != "" && (err != nil || got.String() != tt.want) {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
			if tt.want == "" && (!errors.Is(err, ErrSubnetTaken) || !strings.Contains(err.Error(), tt.candidates[0])) {
				t.Errorf("error %v, want ErrSubnetTaken that lists %s", err, tt.candidates[0])
			}
		})
	}
}

func TestPickStopsAtOtherErrors(t *testing.T) {
	boom, tries := errors.New("permission denied"), 0
	_, err := picker{slices.Values(prefixes("10.77.1.0/24", "10.77.2.0/24")), nothing}.pick(func(netip.Prefix) error { tries++; return boom })
	if !errors.Is(err, boom) || errors.Is(err, ErrSubnetTaken) || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

func TestRandomSubnets(t *testing.T) {
	seq, err := randomSubnets(netip.MustParsePrefix("10.77.9.9/20"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[netip.Prefix]bool{}
	for p := range seq {
		if p.Bits() != 24 || !netip.MustParsePrefix("10.77.0.0/20").Overlaps(p) || seen[p] {
			t.Errorf("%s is no fresh /24 of the pool", p)
		}
		seen[p] = true
	}
	if len(seen) != 16 {
		t.Errorf("%d subnets, want 16", len(seen))
	}
	small, err := randomSubnets(netip.MustParsePrefix("10.77.9.8/29"))
	if got := slices.Collect(small); err != nil || len(got) != 1 || got[0].String() != "10.77.9.8/29" {
		t.Errorf("small pool: %v, %v", got, err)
	}
	for _, bad := range []string{"10.0.0.0/7", "10.77.9.8/30", "fd00::/64"} {
		if _, err := randomSubnets(netip.MustParsePrefix(bad)); err == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

func TestHost(t *testing.T) {
	n := &Network{Subnet: netip.MustParsePrefix("10.77.5.0/24")}
	for i, want := range map[int]string{0: "10.77.5.0", 1: "10.77.5.1", 254: "10.77.5.254", 255: "invalid IP", 256: "invalid IP", -1: "invalid IP"} {
		if got := n.Host(i).String(); got != want {
			t.Errorf("Host(%d) = %s, want %s", i, got, want)
		}
	}
}

func TestParseRoutes(t *testing.T) {
	const text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"tun0\t00004D0A\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n" +
		"eth0\t4D3364C6\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
	got, err := parseRoutes(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []occupied{
		{netip.MustParsePrefix("10.77.0.0/20"), "route via tun0"},
		{netip.MustParsePrefix("198.100.51.77/32"), "route via eth0"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(occupied{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"eth0 1 2", "eth0 xx 0 0 0 0 0 0", "eth0 00000000 0 0 0 0 0 FFFF"} {
		if _, err := parseRoutes(strings.NewReader("heading\n" + bad + "\n")); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzParseRoutes(f *testing.F) {
	f.Add("h\neth0\t0000A8C0\t0\t1\t0\t0\t0\t00FFFFFF\n")
	f.Fuzz(func(t *testing.T, text string) {
		routes, _ := parseRoutes(strings.NewReader(text))
		for _, r := range routes {
			if !r.prefix.IsValid() || r.prefix.Bits() < 0 {
				t.Errorf("%v out of %q", r, text)
			}
		}
	})
}

func TestHostPrefixesSeesLoopback(t *testing.T) {
	ps, err := hostPrefixes()
	if err != nil {
		t.Fatal(err)
	}
	if _, hit := intersects(netip.MustParsePrefix("127.0.0.0/24"), ps); !hit {
		t.Errorf("loopback is not among %v", ps)
	}
	if _, hit := intersects(netip.MustParsePrefix("203.0.113.0/24"), ps); hit && runtime.GOOS == "linux" && os.Getenv("CI") == "" {
		t.Errorf("everything is occupied: %v", ps)
	}
}

// The engine refuses the subnet of the first network, so that the second gets the next candidate.
func TestOverlapTakesTheNext(t *testing.T) {
	first := newNetwork(t, nil)
	seq, err := randomSubnets(testPool)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	second, err := picker{occupied: hostPrefixesWithout(first.Subnet), candidates: func(yield func(netip.Prefix) bool) {
		tried++
		if !yield(first.Subnet) {
			return
		}
		for p := range seq {
			tried++
			if !yield(p) {
				return
			}
		}
	}}.create(t.Context(), NetworkOptions{Labels: map[string]string{LabelSlug: "x-2"}})
	t.Cleanup(func() { remove(t, "network", second.Remove) })
	if err != nil {
		t.Fatal(err)
	}
	if second.Subnet == first.Subnet || tried < 2 || second.Gateway != second.Host(1) {
		t.Errorf("second %+v, first %+v, %d candidates drawn", second, first, tried)
	}
	// The host's own look finds the first as well, without asking the engine.
	_, err = picker{slices.Values([]netip.Prefix{first.Subnet}), hostPrefixes}.create(t.Context(), NetworkOptions{})
	if !errors.Is(err, ErrSubnetTaken) {
		t.Errorf("a subnet in use: %v", err)
	}
}

func hostPrefixesWithout(p netip.Prefix) func() ([]occupied, error) {
	return func() ([]occupied, error) {
		all, err := hostPrefixes()
		return slices.DeleteFunc(all, func(o occupied) bool { return o.prefix == p }), err
	}
}

// An interrupted launch looks for what it made and removes it. The engine goes on with a request whose caller has gone, so a
// creation must have been answered before NewNetwork returns, or its network would come up after that look.
func TestAnInterruptedCreationLeavesNothing(t *testing.T) {
	t.Parallel()
	engine(t)
	if _, _, err := connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
		slug := strings.ToLower(rand.Text()[:10])
		options := NetworkOptions{Name: "bottle-" + slug, Labels: map[string]string{LabelSlug: slug}}
		candidates, err := randomSubnets(testPool)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		// What the host occupies is asked for last before the request.
		host := func() ([]occupied, error) {
			time.AfterFunc(wait, cancel)
			return hostPrefixes()
		}
		if _, err := (picker{candidates, host}).create(ctx, options); !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted %s into the request: %v; want the context's error", wait, err)
		}
		if err := RemoveNetworks(t.Context(), slug); err != nil {
			t.Error(err)
		}
		// A second creation queues up behind the first: by its end the first one's network has come up, if it ever does.
		options.Pool = testPool
		n, err := NewNetwork(t.Context(), options)
		if err != nil {
			t.Errorf("after an interruption %s into the request: %v", wait, err)
		}
		if up := networksOf(t, slug); len(up) != 1 {
			t.Errorf("after an interruption %s into the request and one creation there are %q", wait, up)
		}
		if err := errors.Join(n.Remove(t.Context()), RemoveNetworks(t.Context(), slug)); err != nil {
			t.Error(err)
		}
	}
}

func networksOf(t *testing.T, slug string) []string {
	t.Helper()
	_, cli, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := cli.NetworkList(t.Context(), client.NetworkListOptions{Filters: bySlug(slug)})
	if err != nil {
		t.Error(err)
	}
	var names []string
	for _, n := range found.Items {
		names = append(names, n.Name)
	}
	return names
}

// A plan is what is made, unless somebody else's network was faster; and none is made of what is taken or planned.
func TestPlannedNetwork(t *testing.T) {
	t.Parallel()
	engine(t)
	pool := netip.MustParsePrefix("10.79.8.0/23") // two subnets, of this test's own
	lower, upper := netip.MustParsePrefix("10.79.8.0/24"), netip.MustParsePrefix("10.79.9.0/24")
	plan := func(avoid ...netip.Prefix) (*Network, error) {
		return PlanNetwork(t.Context(), NetworkOptions{Name: "bottle-" + strings.ToLower(rand.Text()[:10]), Pool: pool, Avoid: avoid})
	}
	first, err := plan(upper)
	if err != nil || first.Subnet != lower || first.Gateway != first.Host(1) || first.ID != "" {
		t.Fatalf("%+v, %v", first, err)
	}
	t.Cleanup(func() { remove(t, "network", first.Remove) })
	rival, err := plan(upper)
	if err != nil {
		t.Fatal(err)
	}
	if err := rival.Remove(t.Context()); err != nil {
		t.Errorf("removing what was never made: %v", err)
	}
	if err := first.Create(t.Context()); err != nil || first.ID == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	if err := rival.Create(t.Context()); !errors.Is(err, ErrSubnetLost) || rival.ID != "" {
		t.Errorf("a second network on the subnet: %+v, %v", rival, err)
	}
	if n, err := plan(); err != nil || n.Subnet != upper {
		t.Errorf("beside a network: %+v, %v", n, err)
	}
	if n, err := plan(upper); !errors.Is(err, ErrSubnetTaken) {
		t.Errorf("beside a network and a plan: %+v, %v", n, err)
	}
	if err := first.Create(t.Context()); !errdefs.IsAlreadyExists(err) {
		t.Errorf("made twice: %v", err)
	}
}
