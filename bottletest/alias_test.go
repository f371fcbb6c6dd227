package bottletest

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"bottle.internal/internal/owner"
	"bottle.internal/smolvm"
	"bottle.internal/smolvm/smolvmtest"
)

// fakeHost is a host whose addresses a test decides.
type fakeHost struct {
	loop, cand, free, used []netip.Addr
	adds                   map[netip.Addr]error // nil: it can be added
	added                  []netip.Addr
}

func (f *fakeHost) loopbacks() []netip.Addr  { return f.loop }
func (f *fakeHost) candidates() []netip.Addr { return f.cand }
func (f *fakeHost) idle() []netip.Addr       { return f.free }
func (f *fakeHost) shared() []netip.Addr     { return f.used }

func (f *fakeHost) add(a netip.Addr, _ string) error {
	err := f.adds[a]
	if err == nil {
		f.added = append(f.added, a)
	}
	return err
}

func (f *fakeHost) remove(netip.Addr, string) error { return nil }
func (f *fakeHost) hint(a netip.Addr) string        { return "missing: " + a.String() }

// The addresses that tests bind are of 127/8, whatever they stand for.
func loop(n byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, n}) }

var onePort = wantedPorts{ports: []uint16{canaryPort}}

func TestLoopbackAliasIsNobodyElses(t *testing.T) {
	host := &fakeHost{loop: []netip.Addr{loop(200), loop(201)}}
	first, err := loopbackAlias(host, nil, onePort)
	if err != nil || first.Addr != loop(200) || first.Label != "" || first.Shared {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := loopbackAlias(host, []alias{first}, onePort)
	if err != nil || second.Addr != loop(201) {
		t.Fatalf("%+v, %v", second, err)
	}
	_, err = loopbackAlias(host, []alias{first, second}, onePort)
	if !errors.Is(err, errNoAlias) || !strings.Contains(err.Error(), "missing: 127.0.0.16") {
		t.Errorf("with every address taken: %v", err)
	}
}

func TestPrivateAlias(t *testing.T) {
	a, b, c := loop(210), loop(211), loop(212)
	for name, tc := range map[string]struct {
		host  fakeHost
		taken []alias
		want  alias
		fails error
	}{
		"added":                 {host: fakeHost{cand: []netip.Addr{a, b}}, want: alias{Addr: a, Label: "lo:x"}},
		"another bottle's":      {host: fakeHost{cand: []netip.Addr{a, b}}, taken: []alias{{Addr: a}}, want: alias{Addr: b, Label: "lo:x"}},
		"the host's already":    {host: fakeHost{cand: []netip.Addr{a, b}, adds: map[netip.Addr]error{a: errTaken}}, want: alias{Addr: b, Label: "lo:x"}},
		"not ours to add":       {host: fakeHost{cand: []netip.Addr{a}, adds: map[netip.Addr]error{a: errMayNot}, used: []netip.Addr{b, c}}, want: alias{Addr: b, Shared: true}},
		"somebody put it there": {host: fakeHost{free: []netip.Addr{b, c}, used: []netip.Addr{a}}, taken: []alias{{Addr: b}}, want: alias{Addr: c}},
		"none at all":           {host: fakeHost{cand: []netip.Addr{a}, adds: map[netip.Addr]error{a: errMayNot}}, fails: errNoAlias},
		"a failure":             {host: fakeHost{cand: []netip.Addr{a}, adds: map[netip.Addr]error{a: errStep}, used: []netip.Addr{b}}, fails: errStep},
	} {
		t.Run(name, func(t *testing.T) {
			var recorded []netip.Addr
			got, err := privateAlias(&tc.host, "lo:x", tc.taken, onePort, func(a alias) error {
				recorded = append(recorded, a.Addr)
				return nil
			})
			if !errors.Is(err, tc.fails) {
				t.Fatalf("error %v, want %v", err, tc.fails)
			}
			if err == nil && (got.Addr != tc.want.Addr || got.Label != tc.want.Label || got.Shared != tc.want.Shared) {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
			for _, a := range tc.host.added {
				if !slices.Contains(recorded, a) {
					t.Errorf("%s was added before it was recorded", a)
				}
			}
			if moved := got.Ports[canaryPort] != canaryPort; err == nil && moved != tc.want.Shared {
				t.Errorf("on an address that is shared: %v, the canary's port is %d", tc.want.Shared, got.Ports[canaryPort])
			}
		})
	}
}

// TestPortsAreNobodyElses: a port that is bound moves, all move where they must, and none goes where another bottle's is.
func TestPortsAreNobodyElses(t *testing.T) {
	l, err := net.Listen("tcp4", netip.AddrPortFrom(loop(220), 0).String())
	if err != nil {
		t.Skipf("needs all of 127/8, as on Linux: %v", err)
	}
	defer func() { _ = l.Close() }()
	bound := netip.MustParseAddrPort(l.Addr().String()).Port()
	got, err := alias{Addr: loop(220)}.withPorts(wantedPorts{ports: []uint16{bound}}, nil)
	if err != nil || got.Ports[bound] == bound || got.Ports[bound] == 0 {
		t.Errorf("a port that is bound: %v, %v", got.Ports, err)
	}
	moved, err := alias{Addr: loop(221)}.withPorts(wantedPorts{ports: []uint16{bound, canaryPort}, moved: true}, []alias{got})
	if err != nil || moved.Ports[bound] == bound || moved.Ports[canaryPort] == canaryPort || moved.Ports[bound] == moved.Ports[canaryPort] || moved.publishes(got.Ports[bound]) {
		t.Errorf("ports that must move: %v, %v", moved.Ports, err)
	}
}

// fakeAliasLaunch is a launch that has got as far as its alias.
func fakeAliasLaunch(t *testing.T, version string) *launch {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	replies := []smolvmtest.Reply{smolvmtest.Version(version)}
	for _, verb := range []string{"stop", "delete"} {
		replies = append(replies, smolvmtest.Reply{Argv: []string{"machine", verb}, Times: smolvmtest.AnyTimes})
	}
	fake := smolvmtest.New(t, replies...)
	e := &guestEngine{kind: Smolvm}
	var err error
	if e.version, err = smolvm.ParseVersion(version); err != nil {
		t.Fatal(err)
	}
	l := &launch{Bottle: &Bottle{cfg: Config{Logf: t.Logf}, engine: e, undo: new(undo)}, with: parts{host: thisHost{}}, runtime: Container, topology: Alias}
	l.record = record{Slug: newSlug("fake"), Owner: owner.Self(), Engine: Smolvm, Path: fake.Path}
	return l
}

// TestClaimsUnderContention has many launches choose at once: no address goes to two, and each is in its record.
func TestClaimsUnderContention(t *testing.T) {
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Skipf("needs all of 127/8, as on Linux: %v", err)
	}
	const launches = 20
	first := fakeAliasLaunch(t, "0.8.0")
	var wg sync.WaitGroup
	all := make([]*launch, launches)
	for i := range all {
		l := &launch{Bottle: &Bottle{cfg: first.cfg, engine: first.engine, undo: new(undo), record: first.record}, with: first.with, runtime: Container, topology: Alias}
		l.record.Slug = newSlug("fake")
		all[i] = l
		wg.Go(func() {
			if err := l.claimAlias(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[netip.Addr]bool{}
	for _, l := range all {
		a := l.record.Alias.Addr
		if !a.IsLoopback() || seen[a] {
			t.Errorf("%s was given twice, or is none", a)
		}
		seen[a] = true
	}
	recorded, err := records()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recorded {
		delete(seen, r.Alias.Addr)
	}
	if len(seen) > 0 {
		t.Errorf("not in any record: %v", seen)
	}
}
