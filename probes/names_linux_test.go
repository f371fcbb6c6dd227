package probes

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"bottle.internal/probes/agent"
)

// runOne runs one probe at s, and another that runs anywhere.
func runOne(t *testing.T, s Site, id string) Finding {
	t.Helper()
	rep, err := Run(t.Context(), s, quick, id, loopbackID)
	if err != nil {
		t.Fatal(err)
	}
	return finding(t, rep, id)
}

// A wall that goes by the name in a request is none, and one that goes by the address is one.
func TestSpoof(t *testing.T) {
	for name, c := range map[string]struct {
		names []string
		wall  guest
		want  Verdict
	}{
		"by address":       {[]string{"allowed.test"}, deny, Contained},
		"by name":          {[]string{"allowed.test"}, open, Leak},
		"nobody is there":  {[]string{"allowed.test"}, refuse, Inconclusive},
		"without any name": {nil, deny, NotApplicable},
	} {
		s := site(t, TSI)
		s.AllowNames = c.names
		s.Run = walled(s, c.wall).run(nil)
		if f := runOne(t, s, "net.dns.hosts-spoof"); f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
	}
}

// What is sent has the allowed name where each protocol has names, and the nonce where the canary looks for it.
func TestSpoofSays(t *testing.T) {
	s := site(t, TSI)
	s.AllowNames = []string{"allowed.test"}
	r := newRig(s, quick)
	defer func() { _ = r.close() }()
	aims, none := r.spoofAims()
	if none.why != "" || len(aims) != 2 {
		t.Fatalf("%d aims, %q", len(aims), none.why)
	}
	for i, a := range aims {
		n := nonce(i)
		m := readStream(a.send(n)[0], true)
		if m.nonce != n {
			t.Errorf("%q has no nonce", a.send(n)[0])
		}
		if name, _, err := serverName(a.send(n)[0]); m.form == "tls" && (err != nil || name != "allowed.test") {
			t.Errorf("the server name is %q, %v", name, err)
		}
	}
}

// dnsReply is an answer to the first message of a, with a code and so many authorities.
func dnsReply(a agent.Attempt, code byte, authorities byte) agent.Result {
	b := append([]byte{}, a.Messages()[0]...)
	b[2], b[3], b[9] = b[2]|0x80, code, authorities
	return agent.Result{Stage: agent.StageDone, Reply: b, ElapsedUS: 100}
}

// A resolver has to refuse by itself: what it forwards has left, and what it does not say is not known.
func TestNameFilter(t *testing.T) {
	const id = "net.dns.gateway.filter"
	for name, c := range map[string]struct {
		resolver func(t *testing.T, s Site) guest
		want     Verdict
	}{
		"it refuses":              {func(*testing.T, Site) guest { return func(a agent.Attempt) agent.Result { return dnsReply(a, 5, 0) } }, Contained},
		"it makes an NXDOMAIN up": {func(*testing.T, Site) guest { return func(a agent.Attempt) agent.Result { return dnsReply(a, 3, 0) } }, Contained},
		"it has one with an SOA":  {func(*testing.T, Site) guest { return func(a agent.Attempt) agent.Result { return dnsReply(a, 3, 1) } }, Inconclusive},
		"it answers":              {func(*testing.T, Site) guest { return func(a agent.Attempt) agent.Result { return dnsReply(a, 0, 0) } }, Inconclusive},
		"it is silent": {func(*testing.T, Site) guest {
			return func(agent.Attempt) agent.Result { return agent.Result{Stage: agent.StageRead, ElapsedUS: 100} }
		}, Inconclusive},
		"it forwards": {func(t *testing.T, s Site) guest {
			return func(a agent.Attempt) agent.Result {
				return agent.Result{Stage: agent.StageDone, Reply: tell(t, s.World, "dns", a.Messages()[0])[0], ElapsedUS: 100}
			}
		}, Leak},
		"it forwards, and says that it refuses": {func(t *testing.T, s Site) guest {
			return func(a agent.Attempt) agent.Result {
				tell(t, s.World, "dns", a.Messages()[0])
				return dnsReply(a, 5, 0)
			}
		}, Leak},
	} {
		s := site(t, VirtioNet)
		s.AllowNames = []string{"allowed.test"}
		by := c.resolver(t, s)
		s.Run = walled(s, func(a agent.Attempt) agent.Result {
			if a.Method == agent.Resolver {
				return by(a)
			}
			return refuse(a)
		}).run(nil)
		if f := runOne(t, s, id); f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
	}
	if f := runOne(t, site(t, VirtioNet), id); f.Verdict != NotApplicable || f.Reason == "" {
		t.Errorf("a policy without names: %s", f)
	}
}

// A virtiofs past the guest's kernel is never contained: it is not there, or it is not known.
func TestRawName(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Site)
		want Verdict
	}{
		{"the simulator", func(s *Site) { s.Simulated, s.Declared.Boundary = true, VM }, NotApplicable},
		{"a container", func(s *Site) { s.Declared.Boundary = Container }, NotApplicable},
		{"a VM", func(s *Site) { s.Declared.Boundary = VM }, Inconclusive},
		{"nobody says what", func(*Site) {}, Inconclusive},
	} {
		s := site(t, TSI)
		c.edit(&s)
		if f := runOne(t, s, "fs.virtiofs.rawname"); f.Verdict != c.want || f.Reason == "" {
			t.Errorf("%s: want %s: %s", c.name, c.want, f)
		}
	}
}

// injecting is a proxy that puts a credential into what it fetches from the origin, if it has one.
func injecting(t *testing.T, s *Site, secret string) {
	t.Helper()
	origin := s.Proxy.Origin
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+origin.Addr.String()+r.URL.Path, nil)
		if err != nil {
			return
		}
		if secret != "" {
			req.Header.Set("Authorization", "Bearer "+secret)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(srv.Close)
	s.Proxy.Addr = netip.MustParseAddrPort(srv.Listener.Addr().String())
}

func TestInjected(t *testing.T) {
	const secret = "bottle-token-0123456789"
	for name, c := range map[string]struct {
		puts, guestHas string
		declared       bool
		want           Verdict
	}{
		"it is hidden":         {secret, "", true, Contained},
		"it is in the guest":   {secret, "TOKEN=" + secret, true, Leak},
		"it is not applied":    {"", "", true, Inconclusive},
		"none is declared":     {secret, "", false, Inconclusive},
		"only what it is told": {secret, "SEARCH=bottle-token-", true, Contained},
	} {
		s := withOriginOf(t, fakeProxy{})
		injecting(t, &s, c.puts)
		if c.declared {
			s.Proxy.Injection = Injection{Header: "Authorization", Secret: secret, Prefix: "bottle-token-"}
		}
		s.Run = walled(s, func(a agent.Attempt) agent.Result {
			if a.Method == agent.Search {
				return answered(c.guestHas)
			}
			return deny(a)
		}).run(nil)
		if f := runOne(t, s, "cred.injected"); f.Verdict != c.want {
			t.Errorf("%s: want %s: %s", name, c.want, f)
		}
	}
}
