//go:build !linux

package smolvm

import (
	"os"
	"testing"
)

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	t.Skip("terminals are made on Linux only here")
	return nil, nil
}
