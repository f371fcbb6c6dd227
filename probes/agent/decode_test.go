package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"bottle.internal/internal/echo"
)

const (
	runNonce = echo.Nonce("00000000000000000000000000000001")
	nonceA   = echo.Nonce("0000000000000000000000000000000a")
	nonceB   = echo.Nonce("0000000000000000000000000000000b")
)

func pair() Request {
	addr := netip.MustParseAddrPort("127.0.0.1:9")
	return Request{Schema: Schema, Run: runNonce, DeadlineMS: 1000, Attempts: []Attempt{
		{ID: "a", Network: TCP4, Addr: addr, Nonce: nonceA, BudgetMS: 100},
		{ID: "b", Network: TCP4, Addr: addr, Nonce: nonceB, BudgetMS: 100, Phase: 1, After: "a", When: WhenFiltered},
	}}
}

// honest is the answer to pair of a guest where everything is refused.
func honest() Response {
	return Response{Schema: Schema, Run: runNonce, Self: Self{Echo: true}, Results: []Result{
		{ID: "a", Nonce: nonceA, Stage: StageConnect, Errno: "ECONNREFUSED", ElapsedUS: 10, Observation: Refused},
		{ID: "b", Nonce: nonceB, Stage: StageSkipped, Observation: ProbeError},
	}}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Either nothing in a response counts, or exactly the attempts that were not answered as asked do not.
func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name    string
		edit    func(*Response)
		refused bool
		faults  string // ids
	}{
		{"honest", func(*Response) {}, false, ""},
		{"in another order", func(r *Response) { r.Results[0], r.Results[1] = r.Results[1], r.Results[0] }, false, ""},
		{"of another run", func(r *Response) { r.Run = nonceA }, true, ""},
		{"of no run", func(r *Response) { r.Run = "" }, true, ""},
		{"of another schema", func(r *Response) { r.Schema++ }, true, ""},
		{"an id that was not asked for", func(r *Response) { r.Results[0].ID = "c" }, true, ""},
		{"an empty id", func(r *Response) { r.Results = append(r.Results, Result{}) }, true, ""},
		{"an id twice", func(r *Response) { r.Results = append(r.Results, r.Results[0]) }, false, "a"},
		{"an id three times", func(r *Response) { r.Results = append(r.Results, r.Results[0], r.Results[0]) }, false, "a"},
		{"a result missing", func(r *Response) { r.Results = r.Results[:1] }, false, "b"},
		{"the other one missing", func(r *Response) { r.Results = r.Results[1:] }, false, "a"},
		{"no results", func(r *Response) { r.Results = nil }, false, "ab"},
		{"another nonce", func(r *Response) { r.Results[0].Nonce = nonceB }, false, "a"},
		{"an unknown stage", func(r *Response) { r.Results[0].Stage = "blocked" }, false, "a"},
		{"an errno that is none", func(r *Response) { r.Results[0].Errno = "permission denied" }, false, "a"},
		{"an errno with an escape", func(r *Response) { r.Results[0].Errno = "E\x1b[31m" }, false, "a"},
		{"a long reply", func(r *Response) { r.Results[0].Reply = make([]byte, MaxReply+1) }, false, "a"},
		{"negative time", func(r *Response) { r.Results[0].ElapsedUS = -1 }, false, "a"},
		{"connected after the end", func(r *Response) { r.Results[0].ConnectUS = 11 }, false, "a"},
		{"a claim against its own evidence", func(r *Response) { r.Results[0].Observation = Denied }, false, "a"},
		{"one-way, which only a canary can see", func(r *Response) { r.Results[0].Observation = OneWay }, false, "a"},
		{"skipped unasked", func(r *Response) {
			r.Results[0] = Result{ID: "a", Nonce: nonceA, Stage: StageSkipped, Observation: ProbeError}
		}, false, "a"},
		{"not skipped although its condition did not hold", func(r *Response) {
			r.Results[1] = Result{ID: "b", Nonce: nonceB, Stage: StageConnect, Errno: "EACCES", Observation: Denied}
		}, false, "b"},
		{"skipped although its condition held", func(r *Response) { r.Results[0].Errno, r.Results[0].Observation = "", Filtered }, false, "b"},
		{"skipped with an outcome", func(r *Response) { r.Results[1].Errno = "EACCES" }, false, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := honest()
			c.edit(&r)
			ans, err := pair().Decode(encode(t, r))
			if c.refused {
				if !errors.Is(err, ErrResponse) {
					t.Fatalf("accepted: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"a", "b"} {
				_, counts := ans.Results[id]
				if faulty := ans.Faults[id] != ""; faulty != strings.Contains(c.faults, id) || faulty == counts {
					t.Errorf("%s: counts %t, fault %q; want faults at %q", id, counts, ans.Faults[id], c.faults)
				}
			}
		})
	}
}

func TestDecodeForm(t *testing.T) {
	good := encode(t, honest())
	for name, b := range map[string][]byte{
		"empty":               nil,
		"not JSON":            []byte("bottle-agent: not found\n"),
		"cut off":             good[:len(good)-3],
		"two values":          append(bytes.Clone(good), good...),
		"text before":         append([]byte("warning: x\n"), good...),
		"an unknown field":    bytes.Replace(good, []byte(`"schema"`), []byte(`"verdict":"contained","schema"`), 1),
		"another type":        bytes.Replace(good, []byte(`"results":[`), []byte(`"results":["x",`), 1),
		"more than 1 MiB":     append(bytes.Clone(good), bytes.Repeat([]byte(" "), MaxBatch)...),
		"null":                []byte("null"),
		"number out of range": bytes.Replace(good, []byte(`"elapsed_us":10`), []byte(`"elapsed_us":1e99`), 1),
	} {
		if _, err := pair().Decode(b); !errors.Is(err, ErrResponse) {
			t.Errorf("%s: %v, want ErrResponse", name, err)
		}
	}
	if _, err := pair().Decode(append(good, '\n')); err != nil {
		t.Errorf("a newline at the end: %v", err)
	}
}

func TestSelfIsCleaned(t *testing.T) {
	r := honest()
	r.Self.Hostname = "evil\x1b[2J" + strings.Repeat("x", 1000)
	r.Self.Listeners = []string{"127.0.0.1:9", "not an address", "[::1]:9"}
	for range 1000 {
		r.Self.Interfaces = append(r.Self.Interfaces, "eth0\n")
	}
	ans, err := pair().Decode(encode(t, r))
	if err != nil {
		t.Fatal(err)
	}
	s := ans.Self
	if len(s.Hostname) > maxText || strings.ContainsRune(s.Hostname, '\x1b') {
		t.Errorf("hostname %q", s.Hostname)
	}
	if len(s.Interfaces) > maxList || s.Interfaces[0] != "eth0?" {
		t.Errorf("%d interfaces, the first %q", len(s.Interfaces), s.Interfaces[0])
	}
	if want := []string{"127.0.0.1:9", "[::1]:9"}; !reflect.DeepEqual(s.Listeners, want) {
		t.Errorf("listeners %q, want %q", s.Listeners, want)
	}
}

func TestValidate(t *testing.T) {
	if err := pair().Validate(); err != nil {
		t.Fatal(err)
	}
	many := make([]Attempt, MaxAttempts+1)
	for name, edit := range map[string]func(*Request){
		"schema":        func(r *Request) { r.Schema = 0 },
		"run":           func(r *Request) { r.Run = "x" },
		"deadline":      func(r *Request) { r.DeadlineMS = 0 },
		"long deadline": func(r *Request) { r.DeadlineMS = 1 << 30 },
		"too many":      func(r *Request) { r.Attempts = many },
		"no id":         func(r *Request) { r.Attempts[0].ID = "" },
		"long id":       func(r *Request) { r.Attempts[0].ID = strings.Repeat("x", maxIDLen+1) },
		"id twice":      func(r *Request) { r.Attempts[1].ID = "a" },
		"nonce":         func(r *Request) { r.Attempts[0].Nonce = "" },
		"budget":        func(r *Request) { r.Attempts[0].BudgetMS = 0 },
		"long budget":   func(r *Request) { r.Attempts[0].BudgetMS = 1 << 30 },
		"phase":         func(r *Request) { r.Attempts[0].Phase = -1 },
		"delay":         func(r *Request) { r.Attempts[0].DelayMS = -1 },
		"network":       func(r *Request) { r.Attempts[0].Network = "sctp" },
		"family":        func(r *Request) { r.Attempts[0].Network = TCP6 },
		"no address":    func(r *Request) { r.Attempts[0].Addr = netip.AddrPort{} },
		"port 0":        func(r *Request) { r.Attempts[0].Addr = netip.MustParseAddrPort("127.0.0.1:0") },
		"named zone": func(r *Request) {
			r.Attempts[0].Network, r.Attempts[0].Addr = TCP6, netip.MustParseAddrPort("[fe80::1%eth0]:1")
		},
		"condition":          func(r *Request) { r.Attempts[1].When = "always" },
		"after nobody":       func(r *Request) { r.Attempts[1].After = "z" },
		"after itself":       func(r *Request) { r.Attempts[1].After = "b" },
		"after its own time": func(r *Request) { r.Attempts[1].Phase = 0 },
		"a condition alone":  func(r *Request) { r.Attempts[1].After = "" },
	} {
		r := pair()
		edit(&r)
		if err := r.Validate(); err == nil {
			t.Errorf("%s: valid", name)
		}
	}
	if _, err := DecodeRequest(encode(t, pair())); err != nil {
		t.Error(err)
	}
	if _, err := DecodeRequest([]byte("{}")); err == nil {
		t.Error("an empty request is valid")
	}
	if _, err := DecodeRequest([]byte("{")); err == nil {
		t.Error("half a request is valid")
	}
}

// FuzzDecode: whatever a guest prints, what counts of it was asked for, bears its own nonce, and reads as its evidence does.
func FuzzDecode(f *testing.F) {
	f.Add(encode(f, honest()))
	f.Add([]byte(`{"schema":2,"run":"00000000000000000000000000000001","self":{},"results":[{"id":"a"},{"id":"a"}]}`))
	f.Add([]byte(`{"schema":2,"run":"00000000000000000000000000000001","results":null}`))
	f.Add([]byte("null"))
	req := pair()
	f.Fuzz(func(t *testing.T, b []byte) {
		ans, err := req.Decode(b)
		if err != nil {
			if !errors.Is(err, ErrResponse) {
				t.Errorf("%v is not ErrResponse", err)
			}
			return
		}
		for _, a := range req.Attempts {
			res, ok := ans.Results[a.ID]
			if ok == (ans.Faults[a.ID] != "") {
				t.Errorf("%s: counts %t, fault %q", a.ID, ok, ans.Faults[a.ID])
			}
			if ok && (res.Nonce != a.Nonce || res.Observation != Observe(a, res) || len(res.Reply) > MaxReply) {
				t.Errorf("%s counts: %+v", a.ID, res)
			}
		}
		if len(ans.Results)+len(ans.Faults) != len(req.Attempts) {
			t.Errorf("%d results and %d faults for %d attempts", len(ans.Results), len(ans.Faults), len(req.Attempts))
		}
	})
}

// FuzzRequest: a request that the agent accepts can be dialled without a panic, and is what was written.
func FuzzRequest(f *testing.F) {
	f.Add(encode(f, pair()))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			return
		}
		again, err := DecodeRequest(encode(t, r))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v came back as %+v: %v", r, again, err)
		}
	})
}
