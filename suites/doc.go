// Package suites holds the Ginkgo suites that prove a bottle: smoke, loopback-refused, egress-port-bypass, and teeth, which
// runs the isolation claims of the others against bottles broken on purpose and wants them red.
//
// Each suite launches the bottle that the environment asks for (BOTTLE_ENGINE, SMOLVM_SIM_VERSION) and says in its report
// what it was. Nothing imports a suite.
package suites
