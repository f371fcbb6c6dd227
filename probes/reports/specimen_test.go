package reports

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// specimen is a report with one finding of every verdict, and one whose probe the catalogue does not have.
func specimen() probes.Report {
	contained := finding("net.tcp.loopback.v4", probes.Contained, "host: 127.0.0.1:4711 denied EACCES, and the listener saw nothing")
	contained.Assurance, contained.StoppedBy = probes.L2, "the policy"
	unknown := finding("vendor.own.probe", probes.Contained, "as it should be")
	exposed := leaking("net.tcp.resolver.other-port", probes.Exposed)
	exposed.Waivers = []probes.Waiver{{
		ID: "net.tcp.resolver.*", Target: "1.1.1.1", Expected: probes.Reachable, Reason: "0.8.0 allows 1.1.1.1 unasked", Reference: "smolvm#1060",
		Owner: "ops", Expires: testTime.AddDate(0, 6, 0),
	}}
	blocked := finding("net.tcp.allowed.v4", probes.Overblocked, "bundle: refused in every round # and no proof")
	blocked.Expect, blocked.Severity = probes.Reach, probes.High
	half := finding("net.dns.direct.udp", probes.Inconclusive, "C2: the allowed destination did not answer after the attempts")
	half.Controls[2].State, half.Assurance = probes.Failed, probes.L0
	half.Warnings = []string{"a stranger dialled the canary"}
	lost := finding("net.udp.quic", probes.Error, "world: round 1 was not answered")
	lost.Assurance, lost.Severity = "", probes.Medium
	lost.Attempts[0].Observation, lost.Attempts[0].Fault = probes.ProbeError, "not answered"
	none := probes.Finding{ID: "net.tcp.loopback.v6", Severity: probes.Critical, Expect: probes.Contain, Verdict: probes.NotApplicable, Reason: "the host has no ::1"}
	return probes.Report{
		Schema: probes.Schema, Engine: "smolvm", Version: "0.8.0 (simulated)", Backend: "tsi", Topology: "bridge", Simulated: true,
		Asked: []string{"allow 192.0.2.7/32"}, Effective: []string{"only 192.0.2.7/32 (known by flag)"}, Exposed: []string{"0.0.0.0:22 of this host"},
		Allowed: "192.0.2.7", Kit: "0123abcd", Started: testTime, ElapsedMS: 4200, Profile: "smolvm-0.8.0",
		Guest:    &probes.Guest{Kernel: "6.12.87", Hostname: "guest", Interfaces: []string{"lo 127.0.0.1/8"}},
		Findings: []probes.Finding{half, blocked, contained, none, leaking("net.tcp.public.v4", probes.Leak), exposed, lost, unknown},
	}
}

// staticCatalogue puts a catalogue of the test's own in place of the kit's, whose words change without a golden file being the worse.
func staticCatalogue(t *testing.T) {
	t.Helper()
	kits := catalogue
	t.Cleanup(func() { catalogue = kits })
	catalogue = func() map[string]probes.Probe {
		all := make(map[string]probes.Probe)
		for _, id := range []string{"net.tcp.loopback.v4", "net.tcp.public.v4", "net.tcp.resolver.other-port"} {
			all[id] = probes.Probe{ID: id, Family: "net.tcp", What: "What is tried.", Why: "What it means.", Control: "What counts.", Remedy: "What to do.", Source: "issue#1", Where: "Everywhere."}
		}
		return all
	}
}

// finding is a finding with a control of each state and one attempt that was denied.
func finding(id string, v probes.Verdict, reason string) probes.Finding {
	return probes.Finding{
		ID: id, Severity: probes.Critical, Expect: probes.Contain, Verdict: v, Reason: reason, Assurance: probes.L1,
		Controls: []probes.Control{
			{ID: "C0", State: probes.Held, Text: "self"}, {ID: "C1", State: probes.Held, Text: "alive, before and after"},
			{ID: "C2", State: probes.Held, Text: "path"}, {ID: "C3", Text: "no twin was asked"}, {ID: "C4", State: probes.Failed, Text: "no log has it"},
		},
		Attempts: []probes.Attempt{{
			Target: "host 127.0.0.1", Network: "tcp4", Address: netip.MustParseAddrPort("127.0.0.1:4711"), Nonce: "00000000000000000000000000000001", Round: 1,
			Stage: "connect", Errno: "EACCES", ElapsedUS: 300, Claimed: probes.Denied, Observation: probes.Denied,
		}},
	}
}

// leaking is a finding of an attempt that arrived.
func leaking(id string, v probes.Verdict) probes.Finding {
	f := finding(id, v, "world saw the nonce of round 1 from 192.0.2.1:999; the guest says denied (EACCES)")
	f.StoppedBy = "nobody"
	a := &f.Attempts[0]
	a.Target, a.Address, a.Reply, a.Observation = "world", netip.MustParseAddrPort("1.1.1.1:443"), `<b>not</b> what \x1b[2J asked`, probes.OneWay
	a.Sightings = []echo.Sighting{{Name: "world", Network: "tcp", Nonce: a.Nonce, Peer: "192.0.2.1:999", Local: "1.1.1.1:443", Time: testTime}}
	return f
}

// hostile is a report in which every text is payload, as if the guest had had the writing of all of it, with two findings.
func hostile(payload string) probes.Report {
	var r probes.Report
	fill(reflect.ValueOf(&r).Elem(), payload)
	return r
}

// fill sets every text below v to payload and gives every slice two elements.
func fill(v reflect.Value, payload string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(payload)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), payload)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), payload)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[netip.AddrPort]() {
			v.Set(reflect.ValueOf(netip.AddrPortFrom(netip.IPv6LinkLocalAllNodes().WithZone(payload), 1)))
			return
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f, payload)
			}
		}
	}
}

// payloads are texts that a guest would want to be taken for more.
var payloads = []string{
	`</script></style></title><script>alert(1)</script><img src=x onerror=alert(1)>`,
	`" onmouseover="alert(1)" x='`, "`${alert(1)}`", `javascript:alert(1)`, `{{.}} {{template "x"}}`,
	"\x1b[2J\x1b[31mok 1 - all is well\x07", "a\nok 2 - forged\r\n...\n---\n1..1", "# SKIP nothing # TODO", `\# \\`, "]]></system-out><testcase name='x'/>",
	"\u202egnp.exe\u2066", "\x00\xff\xfe", "\u2028\u2029\ufeff", "&lt;b&gt; &amp;", "- x: y\n  - *alias &anchor !tag |",
}
