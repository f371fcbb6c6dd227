package probes_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"

	"bottle.internal/probes"
)

// A sandbox is a function that runs the agent inside it; here there is none around the agent at all.
func ExampleRun() {
	ctx := context.Background()
	sandbox := func(ctx context.Context, request []byte) ([]byte, error) {
		cmd := exec.CommandContext(ctx, "bottle-agent")
		cmd.Stdin = bytes.NewReader(request)
		return cmd.Output()
	}
	allowed, err := probes.NewCanary("allowed", netip.MustParseAddrPort("127.0.0.1:0"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = allowed.Close() }()
	site := probes.Site{Engine: "none", Run: sandbox, Allowed: allowed.Target()}
	report, err := probes.Run(ctx, site, probes.Options{}, "net.tcp.loopback.*")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(report)
	fmt.Println(report.Worst(), report.ExitCode())
}

func ExampleSelect() {
	selected, err := probes.Select("net.tcp.loopback.*")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range selected {
		fmt.Println(p.ID, p.Severity, p.Expect)
	}
	// Output:
	// net.tcp.loopback.v4 critical contain
	// net.tcp.loopback.v6 critical contain
}

func ExampleLookup() {
	_, err := probes.Lookup("net.tcp.lopback.v4")
	fmt.Println(err)
	// Output: probes: no such probe: "net.tcp.lopback.v4"; perhaps "net.tcp.loopback.v4" or "net.tcp.loopback.v6" or "net.udp.loopback.v4"
}
