// Package reports reads probes.Report back and writes it for whoever has to look at it: a page for people, JUnit's XML and TAP for
// CI, SARIF for code scanning, and the difference of two reports for who changed something.
//
// None of the renderings judges. What is red in the report is red in each of them, and where a format has no word for a verdict the
// louder one is taken: inconclusive is an error in JUnit and a failure in SARIF, since viewers show "open" as nothing. A report that
// is red without a red finding, because it is invalid or nothing was executed, gets one line more in each of them that says so.
//
// Much of a report is text that a guest printed, and the guest is not believed. Every rendering begins with shown, which spells out
// what a terminal, a browser or a parser could take for more than text; each format's own escaping comes on top.
package reports
