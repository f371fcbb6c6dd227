//go:build !linux

package daemon

func becomeSubreaper() {}
