package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bottle.internal/probes"
)

var addresses = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func marshal(t testing.TB, r probes.Report) []byte {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRead(t *testing.T) {
	want := specimen()
	got, err := Read(bytes.NewReader(marshal(t, want)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, addresses, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// What package probes holds as its format can be read.
func TestReadGolden(t *testing.T) {
	f, err := os.Open("../testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if r, err := Read(f); err != nil || len(r.Findings) == 0 {
		t.Errorf("%d findings, %v", len(r.Findings), err)
	}
}

func TestReadIsStrict(t *testing.T) {
	whole := string(marshal(t, specimen()))
	swap := func(from, to string) string {
		if !strings.Contains(whole, from) {
			t.Fatalf("the specimen has no %s", from)
		}
		return strings.Replace(whole, from, to, 1)
	}
	schema := fmt.Sprintf(`"schema":%d`, probes.Schema)
	for name, in := range map[string]string{
		"nothing":           "",
		"no report":         "[]",
		"another schema":    swap(schema, `"schema":99`),
		"no schema":         swap(schema+",", ``),
		"unknown field":     swap(`"engine":`, `"exculpation":"x","engine":`),
		"unknown verdict":   swap(`"verdict":"leak"`, `"verdict":"green"`),
		"no verdict":        swap(`"verdict":"leak",`, ``),
		"unknown severity":  swap(`"severity":"critical"`, `"severity":"fatal"`),
		"unknown expect":    swap(`"expect":"contain"`, `"expect":"hope"`),
		"unknown assurance": swap(`"assurance":"L1"`, `"assurance":"L9"`),
		"unknown state":     swap(`"state":"held"`, `"state":"yes"`),
		"no id":             swap(`"id":"net.tcp.public.v4"`, `"id":""`),
		"twice":             swap(`"id":"net.tcp.public.v4"`, `"id":"net.udp.quic"`),
		"cut short":         whole[:len(whole)-1],
		"more behind":       whole + "{}",
		"findings twice":    whole[:len(whole)-1] + `,"findings":[]}`,
		"other case":        whole[:len(whole)-1] + `,"Findings":[]}`,
		"other case only":   swap(`"findings":`, `"fIndings":`),
		"other alphabet":    swap(`"kit":`, `"\u212ait":`), // the Kelvin sign, which folds to k
		"schema twice":      swap(schema, `"schema":99,`+schema),
		"verdict twice":     swap(`"verdict":"leak"`, `"verdict":"leak","verdict":"contained"`),
		"deep in a list":    swap(`"nonce":`, `"round":1,"round":2,"nonce":`),
		"behind an object":  swap(`"guest":{`, `"guest":{},"guest":{`),
		"empty key":         swap(`"engine":`, `"":1,"engine":`),
	} {
		if r, err := Read(strings.NewReader(in)); !errors.Is(err, ErrReport) || len(r.Findings) > 0 {
			t.Errorf("%s: %v, %d findings", name, err, len(r.Findings))
		}
	}
}

// What is refused by its key is refused for that, and keys that occur again in another object, or as a text, are none of it.
func TestCheckKeys(t *testing.T) {
	for in, want := range map[string]bool{
		`{"a":1,"b":{"a":1},"c":[{"a":1},{"a":"a"}],"d":"a"}`: true,
		`[{"a":[]},{"a":{}}]`: true, `"a"`: true, `{}`: true, `[]`: true, ``: true, `{"a":{},"b":["a","a","a","a"],"c_2":null}`: true, `[1,2,3]`: true,
		`{"a":1,"a":1}`: false, `{"a":{"b":1,"b":1}}`: false, `[[{"a":1,"b":[{}],"a":2}]]`: false, `{"a":{},"a":[]}`: false, `{"a":"x","b":[1],"a":"x"}`: false,
		`{"A":1}`: false, `{"a b":1}`: false, `{"":1}`: false, `{"a":[{"\u017f":1}]}`: false, `{"a":1,"\u0061":1}`: false,
	} {
		if err := checkKeys([]byte(in)); (err == nil) != want {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// Every key that a report can have is spelled as checkKeys wants it.
func TestKeysOfAReport(t *testing.T) {
	if err := checkKeys(marshal(t, hostile("x"))); err != nil {
		t.Error(err)
	}
}

func TestReadIsBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"engine":"`), letters{})
	if _, err := Read(endless); !errors.Is(err, ErrReport) {
		t.Error(err)
	}
}

// letters is a reader without an end.
type letters struct{}

func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	return len(b), nil
}

func TestReadFails(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Read(iotest.ErrReader(broken)); !errors.Is(err, broken) || errors.Is(err, ErrReport) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(marshal(f, specimen()))
	for _, p := range payloads {
		r := specimen()
		r.Engine, r.Findings[0].Reason, r.Findings[1].Attempts[0].Reply, r.Findings[2].ID = p, p, p, p
		f.Add(marshal(f, r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for name, write := range writers {
			if err := write(io.Discard, r); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		again, err := Read(bytes.NewReader(marshal(t, r)))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(r, again, addresses, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}
