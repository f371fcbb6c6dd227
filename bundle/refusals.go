package bundle

import (
	"encoding/json"
	"strings"
	"time"
)

// A Refusal is a request that a daemon of the bundle did not carry out because of its rules.
type Refusal struct {
	Time   time.Time `json:"time"`
	Daemon string    `json:"daemon"`
	Method string    `json:"method"`
	Target string    `json:"target"` // host:port as asked for
	Rule   string    `json:"rule"`   // the ground
	Nonces []string  `json:"nonces"` // those that whoever asked had said, by which it can be told from others; nil if none
}

// ParseRefusals reads the refusals out of a bundle's log, oldest first; lines of another kind are passed over. What was asked for
// is quoted from guests.
func ParseRefusals(log []byte) []Refusal {
	var all []Refusal
	for line := range strings.Lines(string(log)) {
		_, text, ok := strings.Cut(line, "] ")
		if !ok || !strings.HasPrefix(line, "[") {
			continue
		}
		var d struct {
			Refusal
			Decision string `json:"decision"`
		}
		if json.Unmarshal([]byte(text), &d) == nil && d.Decision == "deny" {
			all = append(all, d.Refusal)
		}
	}
	return all
}
