package bottletest_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"bottle.internal/bottletest"
	"bottle.internal/smolvm"
)

// Run launches a bottle outside of a test; Close ends it.
func ExampleRun() {
	ctx := context.Background()
	b, err := bottletest.Run(ctx, bottletest.Config{Daemons: []string{"proxy", "egress"}, ProxyAllow: []string{"example.com"}})
	if err != nil {
		log.Fatal(err) // names the step, quotes the cause, says what was undone
	}
	defer func() { _ = b.Close(ctx) }()

	res, err := b.Exec(ctx, "uname", "-a")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s(exit code %d)\n", res.Stdout, res.ExitCode)

	report, err := b.Probe(ctx) // everything that the catalogue has
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(report)
}

// A plan can be made and printed without launching anything.
func ExampleNewPlan() {
	p := bottletest.NewPlan(bottletest.Config{}, "test-k3v9x2ab", bottletest.Location{Subnet: netip.MustParsePrefix("10.77.5.0/24")}, smolvm.Version{Major: 1, Minor: 9, Patch: 3})
	fmt.Println(p.Machine, p.Backend, p.Bundle, p.Allow)
	// Output: bottle-test-k3v9x2ab virtio-net 10.77.5.2 [10.77.5.2/32]
}
