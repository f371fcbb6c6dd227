//go:build linux && cgo

package sim

// withCgo is whether this is built with cgo, which takes syscall.AllThreadsSyscall away.
const withCgo = true
