package agent

import (
	"fmt"
)

// A Tally is how often a race ended at each of its addresses. The zero Tally ended nowhere.
type Tally struct {
	Also int // connections to Also: without any the race was none
	Addr int // connections to Addr, whose answer was no echo
}

const tallyForm = "also=%d addr=%d"

func (t Tally) text() []byte { return fmt.Appendf(nil, tallyForm, t.Also, t.Addr) }

// ParseTally reads the reply of a race that met no echo. It reports false for anything else.
func ParseTally(reply []byte) (Tally, bool) {
	var t Tally
	if len(reply) > 64 {
		return Tally{}, false
	}
	_, err := fmt.Sscanf(string(reply), tallyForm, &t.Also, &t.Addr)
	return t, err == nil && t.Also >= 0 && t.Addr >= 0 && string(t.text()) == string(reply)
}
