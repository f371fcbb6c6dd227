package bundle

import (
	"strings"
	"testing"
)

func TestUpLine(t *testing.T) {
	for _, row := range []struct {
		log  string
		said bool
		says string // the error's; "" = none
	}{
		{"no daemons selected\n", true, ""},
		{"[proxy] {}\nready: proxy\n", true, ""},
		{"[proxy] ready: proxy\nnot ready: egress: refused\n", true, "not every daemon came up: egress: refused"},
		{"no daemons selected, says who\n", false, "ended before"},
		{"", false, "ended before"},
	} {
		said, err := upLine(strings.NewReader(row.log))
		if said != row.said || (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%q: %t, %v", row.log, said, err)
		}
	}
}
