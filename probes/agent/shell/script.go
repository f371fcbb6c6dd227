package shell

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

//go:embed prober.sh
var prober string

// Script renders r, which must be valid, as a script for POSIX sh that makes the attempts that Can tells of, phase by phase and one
// after the other, and ends by r's deadline or a little later. The first of them has to be at a destination that answers, as it is in
// a batch of package probes: a tool that does not bring that answer back is not used. Give the script to sh on its standard input or
// as a file; Parse reads what it prints.
func Script(r agent.Request) (string, error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\nrun=%s\n%suntil=$(($(now) + %d))\n", r.Run, prober, seconds(time.Duration(r.DeadlineMS)*time.Millisecond))
	numbers := make(map[string]int)
	for i, a := range r.Attempts {
		numbers[a.ID] = i
	}
	made := order(r.Attempts)
	if len(made) == 0 {
		b.WriteString("fact tool none\n")
	}
	for k, i := range made {
		a := r.Attempts[i]
		verb, after := "attempt", "''"
		if k == 0 {
			verb = "prove"
		}
		if a.After != "" {
			after = fmt.Sprint(numbers[a.After])
		}
		line, _, _ := strings.Cut(string(echo.Request(a.Nonce)), "\r\n")
		fmt.Fprintf(&b, "%s %d %s %s %d %d '%s' %s %s '%s'\n", verb, i, a.Nonce, a.Addr.Addr(), a.Addr.Port(), seconds(a.Budget()), line,
			hex.EncodeToString([]byte(a.Nonce)), after, a.When)
	}
	b.WriteString("say end\n")
	return b.String(), nil
}

// Can reports whether a shell makes a: a plain stream over IPv4 that sends the nonce in echo's form.
func Can(a agent.Attempt) bool {
	return a.Network == agent.TCP4 && a.Method == "" && len(a.Send) == 0
}

// order is the attempts that are made, by phase.
func order(attempts []agent.Attempt) []int {
	phases := make(map[int][]int)
	last := 0
	for i, a := range attempts {
		if Can(a) {
			phases[a.Phase] = append(phases[a.Phase], i)
			last = max(last, a.Phase)
		}
	}
	var all []int
	for phase := range last + 1 {
		all = append(all, phases[phase]...)
	}
	return all
}

// seconds rounds up: what a shell's tools count in.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
