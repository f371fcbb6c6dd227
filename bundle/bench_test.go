package bundle

import (
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
)

// BenchmarkBundle is one life of a bundle, step by step: network, run to proven, exec, removals.
func BenchmarkBundle(b *testing.B) {
	e, err := Detect(b.Context())
	if err != nil {
		b.Skip(err)
	}
	e.Configure()
	img, err := Image(b.Context(), e)
	if err != nil {
		b.Fatal(err)
	}
	for name, daemons := range map[string][]string{"idle": nil, "proxy+egress": {"proxy", "egress"}} {
		b.Run(name, func(b *testing.B) {
			total := map[string]time.Duration{}
			for b.Loop() {
				life(b, img, daemons, func(step string, d time.Duration) { total[step] += d })
			}
			for step, d := range total {
				b.ReportMetric(float64(d.Milliseconds())/float64(b.N), step+"-ms")
			}
		})
	}
}

func life(b *testing.B, img string, daemons []string, took func(step string, d time.Duration)) {
	b.Helper()
	ctx := b.Context()
	timed := func(step string, f func() error) {
		begin := time.Now()
		err := f()
		took(step, time.Since(begin))
		if err != nil {
			b.Error(err)
		}
	}
	var n *Network
	var c *Container
	timed("network", func() (err error) { n, err = NewNetwork(ctx, NetworkOptions{Pool: testPool}); return err })
	timed("run", func() (err error) {
		c, err = Run(ctx, img, []testcontainers.ContainerCustomizer{WithNetwork(n, n.Host(2)), WithDaemons(daemons...)}...)
		return err
	})
	timed("exec", func() error { _, err := c.Listeners(ctx); return err })
	timed("remove", func() error { return c.Remove(ctx) })
	timed("network-remove", func() error { return n.Remove(ctx) })
}
