package smolvm

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bottle.internal/smolvm/smolvmtest"
	"github.com/google/go-cmp/cmp"
)

const machinesPath = "/api/v1/machines"

func packFile(t *testing.T) string {
	t.Helper()
	return hostFile(t, filepath.Join(t.TempDir(), "x.smolmachine"), "a pack", 0o644)
}

// served is a client whose smolvm serves s once and then plays more.
func servedBy(t *testing.T, release string, s smolvmtest.Server, more ...smolvmtest.Reply) (*Client, *smolvmtest.Fake) {
	t.Helper()
	replies := append([]smolvmtest.Reply{smolvmtest.Version(release), {Argv: []string{"serve", "start"}, Serve: &s}}, more...)
	fake := smolvmtest.NewInOrder(t, replies...)
	return &Client{Path: fake.Path, Logf: t.Logf}, fake
}

func answer(method, path string, status int, body string) smolvmtest.Server {
	return smolvmtest.Server{Answers: []smolvmtest.Answer{{Method: method, Path: path, Status: status, Body: body}}}
}

func record(body string) smolvmtest.Server { return smolvmtest.Server{Record: body} }

func TestCreateFromPackWithPolicyByAPI(t *testing.T) {
	pack := packFile(t)
	c, fake := servedBy(t, "0.8.0", smolvmtest.Server{}, smolvmtest.Reply{Argv: []string{"machine", "update"}})
	o := CreateOptions{
		From: pack, CPUs: 2, MemoryMiB: 512, Network: policy, Env: []string{"A=1"},
		Ports: []Port{{80, 8080}}, Volumes: []Volume{{"/host", "/guest", true}},
	}
	if err := c.Create(t.Context(), "m", o); err != nil {
		t.Fatal(err)
	}
	want := []smolvmtest.Request{
		{Method: "GET", Path: machinesPath + "/m"},
		{Method: "POST", Path: machinesPath, Body: `{"name":"m","from":"` + pack + `","cpus":2,"memoryMb":512,"network":true,"allowedCidrs":["10.77.0.2/32"],` +
			`"mounts":[{"source":"/host","target":"/guest","readonly":true}],"ports":[{"host":80,"guest":8080}]}`},
		{Method: "GET", Path: machinesPath + "/m"},
	}
	if diff := cmp.Diff(want, fake.Requests()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	lines := fake.Lines()
	socket := strings.TrimPrefix(lines[0], "serve start --listen unix://")
	if len(lines) != 2 || lines[1] != "machine update -e A=1 m" {
		t.Errorf("%q", lines)
	}
	if _, err := os.Stat(filepath.Dir(socket)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %q: %v", socket, err)
	}
	if p, err := c.EffectivePolicy(t.Context(), "m"); err != nil || p.How != KnownAPI {
		t.Errorf("%v, %v", p, err)
	}
}

func TestServeEnvironment(t *testing.T) {
	for release, want := range map[string]string{"1.3.8": "", "1.3.9": "metadata", "1.7.7": "metadata"} {
		c, fake := servedBy(t, release, smolvmtest.Server{})
		if err := c.Create(t.Context(), "m", CreateOptions{From: packFile(t), Network: policy}); err != nil {
			t.Fatal(err)
		}
		if got, _ := fake.Calls()[1].Lookup("SMOLVM_EGRESS_FLOOR"); got != want {
			t.Errorf("%s: floor %q, want %q", release, got, want)
		}
	}
}

// However it fails, there is neither a server nor a machine afterwards.
func TestCreateByAPIFailing(t *testing.T) {
	post := func(status int, body string) smolvmtest.Server {
		return answer(http.MethodPost, machinesPath, status, body)
	}
	broken := func(status int, known string) smolvmtest.Server {
		s := post(502, "<html>")
		s.Answers = append(s.Answers, smolvmtest.Answer{Method: http.MethodGet, Path: machinesPath + "/m", Status: status, Body: known})
		return s
	}
	for name, row := range map[string]struct {
		server smolvmtest.Server
		want   error
		kept   bool // the machine is another's
	}{
		"there before":           {broken(200, `{"name":"m","network":true}`), ErrExists, true},
		"perhaps there before":   {broken(500, `{"error":"no","code":"INTERNAL_ERROR"}`), ErrPolicy, true},
		"refused":                {post(400, `{"error":"no","code":"BAD_REQUEST"}`), ErrPolicy, false},
		"refused in another way": {post(502, "<html>"), ErrPolicy, false},
		"exists":                 {post(409, `{"error":"machine 'm' already exists","code":"CONFLICT"}`), ErrExists, true},
		"no record":              {answer(http.MethodGet, machinesPath+"/m", 404, `{"error":"machine 'm' not found"}`), ErrPolicy, false},
		"record is no JSON":      {record("garbage"), ErrPolicy, false},
		"another's record":       {record(`{"name":"n","network":true}`), ErrPolicy, false},
		"no network":             {record(`{"name":"m","network":false,"allowedCidrs":["10.77.0.2/32"]}`), ErrPolicy, false},
		"more allowed":           {record(`{"name":"m","network":true,"allowedCidrs":["10.77.0.2/32","0.0.0.0/0"]}`), ErrPolicy, false},
		"less allowed":           {record(`{"name":"m","network":true,"allowedCidrs":[]}`), ErrPolicy, false},
		"hosts allowed":          {record(`{"name":"m","network":true,"allowedHosts":["a"]}`), ErrPolicy, false},
	} {
		t.Run(name, func(t *testing.T) {
			var more []smolvmtest.Reply
			if !row.kept {
				more = deleted(false)(release(1, 7, 2))
			}
			c, fake := servedBy(t, "1.7.2", row.server, more...)
			err := c.Create(t.Context(), "m", CreateOptions{From: packFile(t), Network: policy})
			wantIs(t, err, row.want)
			if errors.Is(err, ErrPolicy) != (row.want == ErrPolicy) { //nolint:errorlint // the row's own
				t.Errorf("%v", err)
			}
			if lines := fake.Lines(); len(lines) != 1+len(more) {
				t.Errorf("%q", lines)
			}
		})
	}
}

func TestServerThatDoesNotComeUp(t *testing.T) {
	c, _ := scripted(t, "0.8.0", failing("address in use"))
	err := c.Create(t.Context(), "m", CreateOptions{From: packFile(t), Network: policy})
	wantIs(t, err, ErrPolicy)
	if !strings.Contains(err.Error(), "ended before it answered") {
		t.Errorf("%v", err)
	}
}

// The database is locked: nothing was made, and it is asked again.
func TestCreateByAPILocked(t *testing.T) {
	locked := answer(http.MethodPost, machinesPath, 500, `{"error":"database is locked","code":"DATABASE"}`)
	c, fake := servedBy(t, "1.7.2", locked, deleted(false)(release(1, 7, 2))...)
	wantIs(t, c.Create(t.Context(), "m", CreateOptions{From: packFile(t), Network: policy}), ErrBusy)
	if n := len(fake.Requests()); n != 1+lockedTries {
		t.Errorf("asked %d times", n)
	}
}

func TestCreateByAPIEnvFails(t *testing.T) {
	more := append([]smolvmtest.Reply{machineReply("update", failing("config operation failed: update: x"))}, deleted(true)(release(1, 7, 2))...)
	c, _ := servedBy(t, "1.7.2", smolvmtest.Server{}, more...)
	if err := c.Create(t.Context(), "m", CreateOptions{From: packFile(t), Network: policy, Env: []string{"A=1"}}); err == nil {
		t.Error("no error")
	}
}

func TestCreateByAPICancelled(t *testing.T) {
	c, fake := scripted(t, "0.8.0", smolvmtest.Reply{Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err := c.Create(ctx, "m", CreateOptions{From: packFile(t), Network: policy})
	wantIs(t, err, context.DeadlineExceeded)
	if errors.Is(err, ErrPolicy) {
		t.Errorf("%v is about the policy", err)
	}
	for _, call := range fake.Lines() {
		if dir := filepath.Dir(strings.TrimPrefix(call, "serve start --listen unix://")); !strings.HasPrefix(call, "serve") || dirExists(dir) {
			t.Errorf("%q", call)
		}
	}
}

func dirExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestNoPackForAPI(t *testing.T) {
	c, fake := scripted(t, "0.8.0")
	wantIs(t, c.Create(t.Context(), "m", CreateOptions{From: filepath.Join(t.TempDir(), "none"), Network: policy}), ErrInvalid)
	noCalls(t, fake)
}

func TestRecordHolds(t *testing.T) {
	asked := apiRequest("m", CreateOptions{Network: Network{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("10.0.0.1/32")}, LoopbackOnly: true, Backend: VirtioNet,
	}})
	cidrs := []string{"10.0.0.1", "FD00::/64", "::1/128", "127.0.0.0/8"}
	for name, row := range map[string]struct {
		record apiMachine
		v      Version
		want   Knowledge
	}{
		"all of it":            {apiMachine{Name: "m", Network: true, AllowedCIDRs: cidrs, NetworkBackend: VirtioNet}, release(1, 1, 0), KnownAPI},
		"no CIDRs told":        {apiMachine{Name: "m", Network: true, NetworkBackend: VirtioNet}, release(1, 1, 0), KnownFlag},
		"backend not told":     {apiMachine{Name: "m", Network: true, AllowedCIDRs: cidrs}, release(1, 1, 3), KnownAPI},
		"backend lost":         {apiMachine{Name: "m", Network: true, AllowedCIDRs: cidrs}, release(1, 1, 2), Unknown},
		"another backend":      {apiMachine{Name: "m", Network: true, AllowedCIDRs: cidrs, NetworkBackend: TSI}, release(1, 1, 3), Unknown},
		"loopback not in it":   {apiMachine{Name: "m", Network: true, AllowedCIDRs: cidrs[:2], NetworkBackend: VirtioNet}, release(1, 1, 0), Unknown},
		"a CIDR that is none":  {apiMachine{Name: "m", Network: true, AllowedCIDRs: append(cidrs[:3:3], "x"), NetworkBackend: VirtioNet}, release(1, 1, 0), Unknown},
		"an empty list of all": {apiMachine{Name: "m", Network: true, AllowedCIDRs: []string{}, NetworkBackend: VirtioNet}, release(1, 1, 0), Unknown},
	} {
		how, err := asked.holds(row.record, row.v)
		if how != row.want || (err != nil) != (row.want == Unknown) {
			t.Errorf("%s: %s, %v, want %s", name, how, err, row.want)
		}
	}
}

// A policy that lets nothing through is the API's: the list is in the request, and empty.
func TestCreateThatDeniesAll(t *testing.T) {
	c, fake := servedBy(t, "1.9.3", record(`{"name":"m","network":true,"allowedCidrs":[]}`))
	if err := c.Create(t.Context(), "m", CreateOptions{Network: Network{DenyAll: true}}); err != nil {
		t.Fatal(err)
	}
	want := []smolvmtest.Request{
		{Method: "GET", Path: machinesPath + "/m"},
		{Method: "POST", Path: machinesPath, Body: `{"name":"m","network":true,"allowedCidrs":[]}`},
		{Method: "GET", Path: machinesPath + "/m"},
	}
	if diff := cmp.Diff(want, fake.Requests()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p, err := c.EffectivePolicy(t.Context(), "m"); err != nil || p.How != KnownAPI || p.Backend != VirtioNet || p.Network.String() != "no destination" {
		t.Errorf("%s, %v", p, err)
	}
}

// An allowlist that somebody computed and that came out empty must not open everything.
func TestCreateRefusesAnEmptyAllowlist(t *testing.T) {
	for name, o := range map[string]CreateOptions{
		"empty":                 {Network: Network{Enabled: true, AllowCIDRs: []netip.Prefix{}}},
		"nothing and something": {Network: Network{DenyAll: true, AllowCIDRs: policy.AllowCIDRs}},
		"an image":              {Image: "alpine", Network: Network{DenyAll: true}},
	} {
		fake := smolvmtest.New(t, smolvmtest.Version("1.9.3"))
		err := (&Client{Path: fake.Path}).Create(t.Context(), "m", o)
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the record tells of a policy, and what it does not tell.
func TestRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want Recorded
		err  bool
	}{
		"told":      {`{"name":"m","network":true,"networkBackend":"virtio-net","allowedCidrs":["10.77.0.2","10.0.0.0/8"]}`, Recorded{true, VirtioNet, []netip.Prefix{netip.MustParsePrefix("10.77.0.2/32"), netip.MustParsePrefix("10.0.0.0/8")}, true}, false},
		"empty":     {`{"name":"m","network":true,"allowedCidrs":[]}`, Recorded{Network: true, Told: true}, false},
		"not told":  {`{"name":"m","network":true}`, Recorded{Network: true}, false},
		"no prefix": {`{"name":"m","network":true,"allowedCidrs":["somewhere"]}`, Recorded{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := servedBy(t, "1.9.3", answer(http.MethodGet, machinesPath+"/m", 0, c.body))
			got, err := client.Recorded(t.Context(), "m")
			if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || (err != nil) != c.err {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}
