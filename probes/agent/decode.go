package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

const (
	maxText = 256 // bytes of a text that the guest tells of itself
	maxList = 64  // entries of a list of such texts
)

// An Answer is a response that was checked against its request.
type Answer struct {
	Self Self
	// Results has exactly one entry per attempt that was answered as asked, by id. Each Observation is the host's reading.
	Results map[string]Result
	// Faults says, by id, why the answer to an attempt does not count: missing, given twice, or contradicting itself.
	Faults map[string]string
}

// Decode checks b, which came out of the guest, against the request r that went in. An error, which is ErrResponse, means that
// nothing in it counts: not JSON of this schema, too long, of another run, or with a result that nobody asked for.
func (r Request) Decode(b []byte) (Answer, error) {
	var resp Response
	if err := decodeStrict(b, &resp); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	if resp.Schema != Schema {
		return Answer{}, fmt.Errorf("%w: schema %d, want %d", ErrResponse, resp.Schema, Schema)
	}
	if resp.Run != r.Run {
		return Answer{}, fmt.Errorf("%w: it is of run %.40q, not of this one", ErrResponse, resp.Run)
	}
	asked := make(map[string]Attempt, len(r.Attempts))
	for _, a := range r.Attempts {
		asked[a.ID] = a
	}
	ans := Answer{Self: resp.Self.clean(), Results: make(map[string]Result), Faults: make(map[string]string)}
	for _, res := range resp.Results {
		a, ok := asked[res.ID]
		if !ok {
			return Answer{}, fmt.Errorf("%w: a result for %.80q, which was not asked for", ErrResponse, res.ID)
		}
		ans.add(a, res)
	}
	ans.complete(r.Attempts)
	return ans, nil
}

// add takes in the result of one attempt, or says why it does not count.
func (ans *Answer) add(a Attempt, res Result) {
	if _, dup := ans.Results[a.ID]; dup || ans.Faults[a.ID] != "" {
		delete(ans.Results, a.ID)
		ans.Faults[a.ID] = "answered more than once"
		return
	}
	if fault := res.fault(a); fault != "" {
		ans.Faults[a.ID] = fault
		return
	}
	ans.Results[a.ID] = res
}

// complete says which attempts have no answer, and which were skipped though they were asked for or made though they were not.
func (ans *Answer) complete(attempts []Attempt) {
	for _, a := range attempts {
		res, ok := ans.Results[a.ID]
		if !ok {
			if ans.Faults[a.ID] == "" {
				ans.Faults[a.ID] = "not answered"
			}
			continue
		}
		wanted := true
		if a.After != "" {
			after, known := ans.Results[a.After]
			if !known {
				continue // the attempt it hangs on is a fault already
			}
			wanted = a.When.Met(after)
		}
		if skipped := res.Stage == StageSkipped; skipped == wanted {
			delete(ans.Results, a.ID)
			ans.Faults[a.ID] = fmt.Sprintf("stage %q, which contradicts the condition it was asked under", res.Stage)
		}
	}
}

// fault says what is wrong with a result as the answer to a, "" if nothing is.
func (r Result) fault(a Attempt) string {
	switch {
	case r.Nonce != a.Nonce:
		return "answered with another nonce"
	case !r.Stage.known():
		return fmt.Sprintf("unknown stage %.40q", r.Stage)
	case !errnoName(r.Errno):
		return fmt.Sprintf("%.40q is no errno", r.Errno)
	case len(r.Reply) > MaxReply:
		return fmt.Sprintf("a reply of %d bytes, more than the agent keeps", len(r.Reply))
	case r.ElapsedUS < 0 || r.ConnectUS < 0 || r.ConnectUS > r.ElapsedUS:
		return fmt.Sprintf("impossible times: %d µs to connect, %d µs in all", r.ConnectUS, r.ElapsedUS)
	case r.Stage == StageSkipped && (r.Errno != "" || len(r.Reply) > 0):
		return "skipped, and yet with an outcome"
	case r.Observation != Observe(a, r):
		return fmt.Sprintf("claims %.40q, but its own evidence reads %q", r.Observation, Observe(a, r))
	}
	return ""
}

func (s Stage) known() bool {
	switch s {
	case StagePrepare, StageSocket, StageConnect, StageWrite, StageRead, StageDone, StageSkipped, StageUnfinished:
		return true
	}
	return false
}

// errnoName reports whether s could be the name of an errno, or is empty.
func errnoName(s string) bool {
	if s == "" {
		return true
	}
	return len(s) <= 20 && s[0] == 'E' && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// clean bounds what the guest says of itself and takes out what a terminal would act on. Listeners that are no addresses go.
func (s Self) clean() Self {
	for _, text := range []*string{&s.EchoError, &s.Kernel, &s.BootID, &s.Hostname, &s.Weak} {
		*text = printable(*text)
	}
	s.Interfaces, s.Notes = cleanList(s.Interfaces), cleanList(s.Notes)
	var listeners []string
	for _, l := range s.Listeners {
		if ap, err := netip.ParseAddrPort(l); err == nil && len(listeners) < maxList {
			listeners = append(listeners, ap.String())
		}
	}
	s.Listeners = listeners
	return s
}

func cleanList(all []string) []string {
	if len(all) > maxList {
		all = all[:maxList]
	}
	for i, s := range all {
		all[i] = printable(s)
	}
	return all
}

func printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
