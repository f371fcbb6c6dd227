//go:build !linux || !(amd64 || arm64)

package probes

import "net"

// drops is not to be had here.
func drops(net.PacketConn) (uint32, error) { return 0, errNoDrops }
