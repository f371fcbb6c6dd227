package main

import (
	"fmt"
	"slices"
	"strings"

	"bottle.internal/probes"
)

// A column is some families of probes.
type column struct {
	title    string
	families []string // beginnings of ids
}

var columns = []column{
	{"TCP", []string{"net.tcp."}}, {"UDP", []string{"net.udp."}}, {"ICMP", []string{"net.icmp."}}, {"IPv6", []string{"net.ipv6."}}, {"DNS", []string{"net.dns."}},
	{"inbound", []string{"net.inbound."}}, {"unix", []string{"net.unix."}}, {"vsock", []string{"net.vsock."}}, {"raw", []string{"net.raw.", "net.af.", "net.route."}},
	{"files", []string{"fs."}}, {"secrets", []string{"env.", "cred."}}, {"kernel", []string{"kernel.", "priv.", "dev.", "proc."}}, {"limits", []string{"res."}},
}

// page is the gallery in Markdown.
func page(all []exhibit) string {
	var b strings.Builder
	b.WriteString("# Gallery\n\n<!-- Made by: go tool mage gallery -->\n\n" +
		"Sandboxes that many people have, probed with `bottle-probe check`. A cell says how many of a family's probes leaked, of those that mean\n" +
		"something there: **2 of 9** leaked, 9 held, ? of them inconclusive; – is that none means anything. What leaks may be what the sandbox is\n" +
		"for: nobody declared anything to it.\n\n| sandbox |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.title)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, e := range all {
		fmt.Fprintf(&b, "| %s |", e.name)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", e.cell(c))
		}
		b.WriteString("\n")
	}
	for _, e := range all {
		fmt.Fprintf(&b, "\n## %s\n\n", e.name)
		if e.prefix != nil {
			fmt.Fprintf(&b, "`bottle-probe check -- %s`: %s.\n\n", strings.Join(e.prefix, " "), e.why)
		} else {
			fmt.Fprintf(&b, "`docker run %s`, `bottle-probe check container`: %s.\n\n", strings.Join(append(e.docker, "IMAGE"), " "), e.why)
		}
		e.details(&b)
	}
	return b.String()
}

func (e *exhibit) cell(c column) string {
	if e.absent != "" {
		return ""
	}
	leaks, held, open := 0, 0, 0
	for _, f := range e.report.Findings {
		if !slices.ContainsFunc(c.families, func(p string) bool { return strings.HasPrefix(f.ID, p) }) || f.Expect == probes.Reach {
			continue
		}
		switch f.Verdict {
		case probes.Leak:
			leaks++
		case probes.Contained, probes.Exposed:
			held++
		case probes.NotApplicable:
		default:
			open++
		}
	}
	text := fmt.Sprint(held)
	switch {
	case leaks+held+open == 0:
		return "–"
	case leaks > 0:
		text = fmt.Sprintf("**%d of %d**", leaks, leaks+held+open)
	}
	return text + strings.Repeat("?", open)
}

// details are the leaks by name, and what is not known.
func (e *exhibit) details(b *strings.Builder) {
	if e.absent != "" {
		fmt.Fprintf(b, "Not probed on the machine of this page: `%s`.\n", e.absent)
		return
	}
	byVerdict := make(map[probes.Verdict][]string)
	for _, f := range e.report.Findings {
		byVerdict[f.Verdict] = append(byVerdict[f.Verdict], "`"+f.ID+"`")
	}
	for _, v := range []probes.Verdict{probes.Leak, probes.Inconclusive, probes.Error} {
		if ids := byVerdict[v]; len(ids) > 0 {
			fmt.Fprintf(b, "%s (%d): %s.\n\n", strings.ToUpper(string(v[:1]))+string(v[1:]), len(ids), strings.Join(ids, ", "))
		}
	}
	fmt.Fprintf(b, "%d contained, %d not applicable.\n", len(byVerdict[probes.Contained]), len(byVerdict[probes.NotApplicable]))
}
