// Package profiles says what is demanded of a report beyond the judge's rules, and which leaks are known and accepted for a time.
//
// The judge of package probes has no opinion on how much must stand behind a denial, and it has no waivers: a leak is a leak. A
// Profile adds three things to that. It requires a level of assurance by severity, so that contained at L1 does not pass where L3
// is wanted. It bounds the share of inconclusive findings, above which a report is worth nothing as a whole. And it holds waivers,
// each with a reason, a reference, an owner and an end: a leak that live waivers cover whole is exposed, which is not green and
// not red, and which every rendering shows with its waiver.
//
// A waiver covers what it names and nothing beside it: the probes its id matches, attempts at its target, and observations no
// worse than the one it expects. What is inconclusive or overblocked has no waiver. Waivers that are out of date are noticed.
//
// Builtin profiles are strict, the default, which waives nothing; standard, which asks for what the judge itself asks for; and one
// for each generation of smolvm, strict with waivers for what those releases are known to let through. For finds the one for a
// release. The rules are prior-art §4, 6 and 7.
package profiles
