package certificate

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bottle.internal/probes"
)

var (
	now     = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	digests = map[string]string{"agent": "aa11", "bundle": "bb22", "guest image": "cc33"}
)

func clean() probes.Report {
	r := probes.Report{
		Schema: probes.Schema, Engine: "smolvm", Version: "1.9.3", Backend: "virtio-net", Topology: "bridge",
		Asked: []string{"allow 192.0.2.7/32"}, Allowed: "192.0.2.7", Guest: &probes.Guest{Kernel: "6.12"},
	}
	for i, p := range probes.All() {
		f := probes.Finding{ID: p.ID, Severity: p.Severity, Verdict: probes.Contained, Assurance: "L3"}
		switch i {
		case 1:
			f.Verdict, f.Waivers = probes.Exposed, []probes.Waiver{{ID: "net.dns.*", Expires: now.Add(time.Hour)}}
		case 2:
			f.Verdict = probes.NotApplicable
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// launch is how clean's bottle is launched, wherever its bundle is.
var launch = Launch{"smolvm 1.9.3", "virtio-net", "bridge", "allow {allowed}/32"}

func signed(t *testing.T, edit func(*Statement)) ([]byte, ed25519.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewStatement(clean(), digests, Mutation{Kit: "k", Killed: 47, Total: 47}, now)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(&s)
	}
	envelope, err := Sign(t.Context(), s, private)
	if err != nil {
		t.Fatal(err)
	}
	return envelope, public
}

func TestVerify(t *testing.T) {
	envelope, key := signed(t, nil)
	s, err := Verify(t.Context(), envelope, Demand{Key: key, MaxAge: time.Hour, Digests: digests, Launch: launch}, now.Add(30*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	p := s.Predicate
	if p.Engine != "smolvm 1.9.3" || p.Kernel != "6.12" || p.Mutation.Killed != 47 || len(p.Findings) != len(probes.All()) || len(p.Waivers) != 1 || p.Verdict != probes.Exposed {
		t.Errorf("%+v", p)
	}
}

func TestVerifyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*Statement)
		demand func(*Demand)
		at     time.Duration
		want   string
	}{
		"too old":         {nil, func(d *Demand) { d.MaxAge = time.Hour }, 2 * time.Hour, "old"},
		"from the future": {nil, nil, -time.Hour, "yet to come"},
		"another agent":   {nil, func(d *Demand) { d.Digests = map[string]string{"agent": "x", "bundle": "bb22", "guest image": "cc33"} }, 0, "agent is another"},
		"one thing more": {nil, func(d *Demand) {
			d.Digests = map[string]string{"agent": "aa11", "bundle": "bb22", "guest image": "cc33", "kernel": "dd"}
		}, 0, "nothing of kernel"},
		"one thing less":      {nil, func(d *Demand) { d.Digests = map[string]string{"agent": "aa11", "bundle": "bb22"} }, 0, "about guest image too"},
		"a subject twice":     {func(s *Statement) { s.Subject = append(s.Subject, s.Subject[0]) }, nil, 0, "twice"},
		"no sum":              {func(s *Statement) { s.Subject[0].Digest = nil }, nil, 0, "another"},
		"a leak":              {func(s *Statement) { s.Predicate.Findings[0].Verdict = probes.Leak }, nil, 0, "is leak"},
		"inconclusive":        {func(s *Statement) { s.Predicate.Findings[0].Verdict = probes.Inconclusive }, nil, 0, "is inconclusive"},
		"a word that is none": {func(s *Statement) { s.Predicate.Findings[0].Verdict = "fine" }, nil, 0, "is fine"},
		"nothing ran": {func(s *Statement) {
			for i := range s.Predicate.Findings {
				s.Predicate.Findings[i].Verdict = probes.NotApplicable
			}
		}, nil, 0, "no probe"},
		"one probe":             {func(s *Statement) { s.Predicate.Findings = s.Predicate.Findings[:1] }, nil, 0, "no finding of"},
		"one probe less":        {func(s *Statement) { s.Predicate.Findings = s.Predicate.Findings[1:] }, nil, 0, probes.All()[0].ID + " among them"},
		"another version":       {nil, func(d *Demand) { d.Launch.Engine = "smolvm 0.8.0" }, 0, `the engine is another: it is about "smolvm 1.9.3"`},
		"another backend":       {nil, func(d *Demand) { d.Launch.Backend = "tsi" }, 0, "the backend is another"},
		"another topology":      {nil, func(d *Demand) { d.Launch.Topology = "alias" }, 0, "the topology is another"},
		"another policy":        {nil, func(d *Demand) { d.Launch.Asked += ", allow 0.0.0.0/0" }, 0, "the policy is another"},
		"not a word of it":      {func(s *Statement) { s.Predicate.Asked = "" }, nil, 0, "the policy is another"},
		"invalid":               {func(s *Statement) { s.Predicate.Invalid = "too much is inconclusive" }, nil, 0, "invalid"},
		"its own exit code":     {func(s *Statement) { s.Predicate.ExitCode = 3 }, nil, 0, "verdict"},
		"simulated":             {func(s *Statement) { s.Predicate.Simulated = true }, nil, 0, "simulator"},
		"a waiver that ended":   {nil, nil, 2 * time.Hour, "waiver"},
		"another statement":     {func(s *Statement) { s.PredicateType = "https://slsa.dev/provenance/v1" }, nil, 0, "no certificate"},
		"another statement's t": {func(s *Statement) { s.Type = "x" }, nil, 0, "no certificate"},
	} {
		envelope, key := signed(t, c.edit)
		d := Demand{Key: key, Digests: digests, Launch: launch}
		if c.demand != nil {
			c.demand(&d)
		}
		_, err := Verify(t.Context(), envelope, d, now.Add(c.at))
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	envelope, key := signed(t, func(s *Statement) { s.Predicate.Simulated = true })
	if _, err := Verify(t.Context(), envelope, Demand{Key: key, Digests: digests, Launch: launch, Simulated: true}, now); err != nil {
		t.Errorf("asked for by name: %v", err)
	}
}

// Whatever is changed in an envelope, it vouches for nothing.
func TestVerifyRefusesForgeries(t *testing.T) {
	envelope, key := signed(t, func(s *Statement) { s.Predicate.Findings[0].Verdict = probes.Leak })
	var e map[string]any
	if err := json.Unmarshal(envelope, &e); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(e["payload"].(string))
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(string(payload), `"leak"`, `"contained"`, 1)
	e["payload"] = base64.StdEncoding.EncodeToString([]byte(forged))
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	_, other := signed(t, nil)
	for name, c := range map[string]struct {
		envelope []byte
		key      ed25519.PublicKey
	}{
		"payload": {text, key}, "another key": {envelope, other}, "nothing": {nil, key}, "no JSON": {[]byte("x"), key},
		"no signature": {[]byte(`{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[]}`), key},
		"more":         {append(envelope, []byte("{}")...), key},
	} {
		if _, err := Verify(t.Context(), c.envelope, Demand{Key: c.key, Digests: digests, Launch: launch}, now); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	made, err := GenerateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadKey(path)
	if err != nil || !read.Equal(made) {
		t.Errorf("%v", err)
	}
	public, err := ReadPublicKey(path + ".pub")
	if err != nil || !public.Equal(made.Public()) {
		t.Errorf("%v", err)
	}
	if in, err := os.Stat(path); err != nil || in.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", in.Mode(), err)
	}
	if _, err := GenerateKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key is written over: %v", err)
	}
	if _, err := ReadKey(path + ".pub"); !errors.Is(err, ErrKey) {
		t.Errorf("%v", err)
	}
	if _, err := ReadPublicKey(path); !errors.Is(err, ErrKey) {
		t.Errorf("%v", err)
	}
}
