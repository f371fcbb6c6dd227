package shell

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

//go:embed prober.sh
var prober string

// Script renders r, which must be valid, as a script for POSIX sh that makes the attempts that Can tells of, phase by phase and one
// after the other, and ends by r's deadline or a little later. Give it to sh on its standard input or as a file; Parse reads what it
// prints.
func Script(r agent.Request) (string, error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\nrun=%s\n%suntil=$(($(now) + %d))\n", r.Run, prober, seconds(time.Duration(r.DeadlineMS)*time.Millisecond))
	for _, i := range order(r.Attempts) {
		a := r.Attempts[i]
		line, _, _ := strings.Cut(string(echo.Request(a.Nonce)), "\r\n")
		fmt.Fprintf(&b, "attempt %d %s %s %d %d '%s'\n", i, a.Nonce, a.Addr.Addr(), a.Addr.Port(), seconds(a.Budget()), line)
	}
	b.WriteString("say end\n")
	return b.String(), nil
}

// Can reports whether a shell makes a: a plain stream over IPv4 that sends the nonce in echo's form and hangs on no other attempt.
func Can(a agent.Attempt) bool {
	return a.Network == agent.TCP4 && a.Method == "" && len(a.Send) == 0 && a.After == ""
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
