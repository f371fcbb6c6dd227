package smolvm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The part of smolvm's HTTP API that Create needs, and nothing more of it: a server on a socket, two routes, one record.

// An apiMachine is the request that makes a machine, and the record that comes back. The names are those of smolvm v0.8.0 src/api/types.rs,
// CreateMachineRequest and MachineInfo, which are written in camelCase. v0.8.0 has no allowedHosts and no networkBackend in either and
// no allowedCidrs in the record; unknown fields of a request are dropped there without a word.
type apiMachine struct {
	Name           string     `json:"name"`
	From           string     `json:"from,omitempty"`
	CPUs           int        `json:"cpus,omitempty"`
	MemoryMB       int        `json:"memoryMb,omitempty"`
	Network        bool       `json:"network"`
	NetworkBackend Backend    `json:"networkBackend,omitempty"`
	AllowedCIDRs   []string   `json:"allowedCidrs"`
	AllowedHosts   []string   `json:"allowedHosts,omitempty"`
	Mounts         []apiMount `json:"mounts,omitempty"`
	Ports          []apiPort  `json:"ports,omitempty"`
}

type apiMount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readonly"`
}

type apiPort struct {
	Host  uint16 `json:"host"`
	Guest uint16 `json:"guest"`
}

// loopbackCIDRs is what --outbound-localhost-only stands for.
var loopbackCIDRs = []string{"127.0.0.0/8", "::1/128"}

// apiRequest is o for the API. The list of CIDRs is there even if empty: then nothing is let through, and without it everything.
func apiRequest(name string, o CreateOptions) apiMachine {
	m := apiMachine{
		Name: name, From: o.From, CPUs: o.CPUs, MemoryMB: o.MemoryMiB,
		Network: true, NetworkBackend: o.Network.Backend, AllowedCIDRs: []string{}, AllowedHosts: o.Network.AllowHosts,
	}
	for _, p := range o.Network.AllowCIDRs {
		m.AllowedCIDRs = append(m.AllowedCIDRs, p.String())
	}
	if o.Network.LoopbackOnly {
		m.AllowedCIDRs = append(m.AllowedCIDRs, loopbackCIDRs...)
	}
	for _, vol := range o.Volumes {
		m.Mounts = append(m.Mounts, apiMount{vol.Host, vol.Guest, vol.ReadOnly})
	}
	for _, p := range o.Ports {
		m.Ports = append(m.Ports, apiPort(p))
	}
	return m
}

// holds compares the record of the machine with what was asked for. A record that does not tell the CIDRs is how v0.8.0 answers: then the
// policy is known from the request only. What v0.8.0 would drop has to be in the record.
func (want apiMachine) holds(record apiMachine, v Version) (Knowledge, error) {
	backend := want.NetworkBackend
	if backend != "" && record.NetworkBackend == "" && backend != v.PolicyBackend() || record.NetworkBackend != "" && backend != "" && record.NetworkBackend != backend {
		return Unknown, fmt.Errorf("the record of smolvm's API has the backend %q, not %q", record.NetworkBackend, backend)
	}
	switch {
	case record.Name != want.Name:
		return Unknown, fmt.Errorf("smolvm's API answered with the record of %q", record.Name)
	case !record.Network:
		return Unknown, errors.New("the record of smolvm's API has no network, so that every test of isolation would pass")
	case !sameSet(record.AllowedHosts, want.AllowedHosts):
		return Unknown, fmt.Errorf("the record of smolvm's API allows the hosts %q, not %q", record.AllowedHosts, want.AllowedHosts)
	case record.AllowedCIDRs == nil:
		return KnownFlag, nil
	case !sameSet(canonical(record.AllowedCIDRs), want.AllowedCIDRs):
		return Unknown, fmt.Errorf("the record of smolvm's API allows %q, not %q", record.AllowedCIDRs, want.AllowedCIDRs)
	}
	return KnownAPI, nil
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// canonical spells CIDRs as netip does; a bare address is its own network.
func canonical(cidrs []string) []string {
	out := make([]string, 0, len(cidrs))
	for _, s := range cidrs {
		if p, err := netip.ParsePrefix(s); err == nil {
			s = p.String()
		} else if a, err := netip.ParseAddr(s); err == nil {
			s = netip.PrefixFrom(a, a.BitLen()).String()
		}
		out = append(out, s)
	}
	return out
}

// An apiError is an answer of the API that is no success (v0.8.0 types.rs ApiErrorResponse).
type apiError struct {
	Status int    `json:"-"`
	Text   string `json:"error"`
	Code   string `json:"code"`
}

func (e *apiError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("smolvm's API: %d %s: %s", e.Status, e.Code, shorten(e.Text)))
}

// Unwrap is the sentinel that the answer stands for, nil for none.
func (e *apiError) Unwrap() error {
	if e.Status == http.StatusConflict {
		return ErrExists
	}
	return classifyText(e.Text)
}

// An api is a client of one server.
type api struct{ http http.Client }

func newAPI(socket string) *api {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &api{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// maxAnswer bounds what an answer may bring into memory.
const maxAnswer = 1 << 20

// do asks and decodes the answer into out, which may be nil.
func (a *api) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return answerError(resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

func answerError(status int, text []byte) error {
	e := &apiError{}
	if json.Unmarshal(text, e) != nil || e.Text == "" {
		e.Text = string(bytes.TrimSpace(text))
	}
	e.Status = status
	return e
}

// await polls until the server answers; the error says why it did not.
func (a *api) await(ctx context.Context, ended <-chan struct{}) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := a.do(ctx, http.MethodGet, "/health", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return errors.New("the server ended before it answered")
		default:
		}
		if !pauseFor(ctx, pause) {
			return fmt.Errorf("waiting for the server: %w: %w", over(ctx), err)
		}
	}
}
