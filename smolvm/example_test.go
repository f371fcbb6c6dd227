package smolvm_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"time"

	"bottle.internal/smolvm"
)

// A machine that may reach one address, from the first call to the last.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := &smolvm.Client{Logf: log.Printf}
	err := c.Create(ctx, "demo", smolvm.CreateOptions{
		Network: smolvm.Network{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.77.0.2/32")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		// A context of its own: ctx may be why we are here.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(c.Stop(ctx, "demo"), c.Delete(ctx, "demo")); err != nil {
			log.Print(err)
		}
	}()
	if err := c.Start(ctx, "demo"); err != nil {
		log.Print(err)
		return
	}
	res, err := c.Exec(ctx, "demo", smolvm.Command{Argv: []string{"uname", "-r"}, Timeout: 10 * time.Second})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Printf("exit %d: %s", res.ExitCode, res.Stdout)
}

// Who failed: the guest's command, the time, the machine.
func ExampleClient_Exec() {
	c := &smolvm.Client{}
	res, err := c.Exec(context.Background(), "demo", smolvm.Command{Argv: []string{"make", "test"}, Timeout: time.Minute})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("it takes too long")
	case errors.Is(err, smolvm.ErrNotRunning), errors.Is(err, smolvm.ErrNotFound):
		fmt.Println("there is no machine to run it in")
	case err != nil:
		fmt.Println("smolvm failed:", err)
	case res.ExitCode != 0:
		fmt.Printf("the tests fail with %d: %s", res.ExitCode, res.Stderr)
	}
}

func ExampleParseVersion() {
	v, err := smolvm.ParseVersion("smolvm 0.8.0 (simulated)\n")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(v, v.AtLeast(1, 0, 2), v.PolicyBackend())
	// Output: 0.8.0 (simulated) false tsi
}
