package bundle_test

import (
	"context"
	"fmt"
	"net/netip"

	"bottle.internal/bundle"
	"bottle.internal/internal/echo"
	"bottle.internal/internal/owner"
)

// A bundle on a network of its own, with the proxy open to the guest and the egress hop behind it.
func ExampleRun() {
	ctx := context.Background()
	engine, err := bundle.Detect(ctx)
	if err != nil {
		fmt.Println(err) // names what was tried, and how to mend it
		return
	}
	engine.Configure()
	img, err := bundle.Image(ctx, engine)
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := bundle.NewNetwork(ctx, bundle.NetworkOptions{Name: "bottle-example-1"})
	defer func() { _ = n.Remove(context.WithoutCancel(ctx)) }() // before looking at the error
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := bundle.Run(ctx, img, bundle.WithNetwork(n, n.Host(2)),
		bundle.WithDaemons("proxy", "egress"), bundle.WithProxyAllow("*.example.com", "192.0.2.7:8443"))
	defer func() { _ = c.Remove(context.WithoutCancel(ctx)) }()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("HTTPS_PROXY=http://" + netip.AddrPortFrom(c.Addr(), 8888).String())
}

// A canary in the bundle says who reached it, whatever the dialler says.
func ExampleContainer_Canary() {
	var c *bundle.Container // from Run
	run := func(ctx context.Context) error {
		canary, err := c.Canary(ctx)
		if err != nil {
			return err
		}
		nonce := echo.NewNonce()
		reply, err := c.Echo(ctx, canary.Addr(), nonce)
		fmt.Println(err == nil && c.Secret().Verify(nonce, reply))
		if err := canary.Close(); err != nil {
			return err // its sightings may be incomplete
		}
		fmt.Println(canary.Sightings())
		return nil
	}
	_ = run
}

// What a killed run left behind goes, what lives stays.
func ExampleSweep() {
	removed, err := bundle.Sweep(context.Background(), func(o string) bool { return !owner.Alive(owner.ID(o)) })
	fmt.Println(removed, err)
}
