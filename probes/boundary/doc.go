// Package boundary looks for the places where an allowlist and its enforcer disagree. It has a small model of a policy, a generator of
// flows on both sides of every entry's edge, and a way to bring a disagreement down to its simplest form. All of it is pure: who
// dials, and who judges, is package probes.
package boundary
