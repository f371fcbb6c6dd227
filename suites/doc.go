// Package suites holds the Ginkgo suites that prove a bottle: smoke, loopback-refused, egress-port-bypass, conformance, which asks
// the whole catalogue, and teeth, which runs the isolation claims against bottles broken on purpose and wants them red. Beside it
// kill-matrix asks the whole catalogue of every bottle in package probes/mutants, each once.
//
// Each suite launches the bottle that the environment asks for (BOTTLE_ENGINE, SMOLVM_SIM_VERSION) and says in its report
// what it was. Other repositories run the catalogue against their own bottle with Register; nothing else imports a suite.
package suites
