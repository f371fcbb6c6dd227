// Package mutants is the list of bottles that are broken on purpose, each in one way, and the account of which probe saw it.
//
// A probe that was never seen to turn red may be one that cannot. So every line of All says what is broken and where that failure
// was seen in public, and names the probes that have to notice. It is plain data: what carries an edit out lives with whoever can
// launch bottles. A Row is one mutant that was run, and a Matrix all of them against the whole catalogue; a mutant that nobody
// noticed fails it, and so does a critical or high probe that noticed none.
//
// A mutant whose edit cannot be shown to have taken effect is an error, and not a survivor: nothing is known of it.
package mutants
