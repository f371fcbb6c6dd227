// Package killing runs the mutants of package mutants: it launches bottles on the simulator, each broken on purpose in one way, probes them
// and says which probe told which apart. The suite kill-matrix and bottle-probe's selftest are made of it.
package killing
