//go:build linux

package vnet

import (
	"os"
	"strings"
	"testing"
	"time"
)

// BenchmarkConnect is a connect, a line each way and a close, on a fresh socket;
// connect-ns/op is connect() alone.
func BenchmarkConnect(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"tsi", open(TSI)},
		{"tsi-denied", Config{Backend: TSI, Restrict: true}},
		{"virtio-net", open(VirtioNet)},
		{"virtio-net-denied", Config{Backend: VirtioNet, Restrict: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			at := hostLoopback(c.cfg.Backend, listenHost(b, "canary", "127.0.0.1:0").addr)
			m := boot(b, c.cfg)
			var total time.Duration
			for b.Loop() {
				total += m.do(order{Op: "dial", Addr: at, Send: "n"}).Elapsed
			}
			b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "connect-ns/op")
		})
	}
}

// BenchmarkTransfer echoes 10 MiB.
func BenchmarkTransfer(b *testing.B) {
	for _, backend := range []Backend{TSI, VirtioNet} {
		b.Run(string(backend), func(b *testing.B) {
			at := hostLoopback(backend, listenEcho(b, "127.0.0.1:0"))
			m := boot(b, open(backend))
			b.SetBytes(20 << 20)
			for b.Loop() {
				wantData(b, m.do(order{Op: "transfer", Addr: at, Bytes: 10 << 20}), "intact")
			}
			b.ReportMetric(float64(residentKiB(b)), "rss-KiB")
		})
	}
}

// BenchmarkBoot is a guest from nothing to a network that answers.
func BenchmarkBoot(b *testing.B) {
	for _, backend := range []Backend{TSI, VirtioNet} {
		b.Run(string(backend), func(b *testing.B) {
			for b.Loop() {
				boot(b, open(backend)).Close()
			}
			b.ReportMetric(float64(residentKiB(b)), "rss-KiB")
		})
	}
}

// residentKiB is this process's resident memory: one supervisor and the test.
func residentKiB(tb testing.TB) (n int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	for _, c := range strings.TrimSpace(rest) {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}
