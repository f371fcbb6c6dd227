package probes

import (
	"bytes"

	"bottle.internal/internal/echo"
)

// Payloads are what attempts send instead of the plain echo request. Each carries the nonce where the listener looks for it.

// Record types that are asked for (RFC 1035, RFC 8482).
const (
	typeNULL = 10
	typeANY  = 255
)

func nameA(n echo.Nonce) [][]byte { return [][]byte{dnsQuery(n, canaryZone, typeA)} }

// nameOdd asks for what filters of A and AAAA forget. A datagram attempt sends each.
func nameOdd(n echo.Nonce) [][]byte {
	return [][]byte{dnsQuery(n, canaryZone, typeTXT), dnsQuery(n, canaryZone, typeNULL), dnsQuery(n, canaryZone, typeANY)}
}

func sendDNSOverTCP(n echo.Nonce) [][]byte { return [][]byte{dnsOverTCP(n, canaryZone, typeA)} }

func sendHello(alpn ...string) func(echo.Nonce) [][]byte {
	return func(n echo.Nonce) [][]byte { return [][]byte{clientHello(n, alpn...)} }
}

func sendDoH(n echo.Nonce) [][]byte { return [][]byte{dohRequest(n)} }

func sendQUIC(n echo.Nonce) [][]byte { return [][]byte{quicInitial(n)} }

// padded is a datagram of a kilobyte.
func padded(n echo.Nonce) [][]byte {
	return [][]byte{append(echo.Datagram(n), bytes.Repeat([]byte(" "), 1<<10)...)}
}
