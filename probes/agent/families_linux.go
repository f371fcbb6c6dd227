package agent

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// familyNames are those of socket.h, by number.
var familyNames = map[int]string{
	unix.AF_UNIX: "AF_UNIX", unix.AF_INET: "AF_INET", unix.AF_AX25: "AF_AX25", unix.AF_IPX: "AF_IPX",
	unix.AF_APPLETALK: "AF_APPLETALK", unix.AF_NETROM: "AF_NETROM", unix.AF_BRIDGE: "AF_BRIDGE", unix.AF_ATMPVC: "AF_ATMPVC",
	unix.AF_X25: "AF_X25", unix.AF_INET6: "AF_INET6", unix.AF_ROSE: "AF_ROSE", unix.AF_KEY: "AF_KEY", unix.AF_NETLINK: "AF_NETLINK",
	unix.AF_PACKET: "AF_PACKET", unix.AF_ASH: "AF_ASH", unix.AF_ECONET: "AF_ECONET", unix.AF_ATMSVC: "AF_ATMSVC", unix.AF_RDS: "AF_RDS",
	unix.AF_IRDA: "AF_IRDA", unix.AF_PPPOX: "AF_PPPOX", unix.AF_WANPIPE: "AF_WANPIPE", unix.AF_LLC: "AF_LLC", unix.AF_IB: "AF_IB",
	unix.AF_MPLS: "AF_MPLS", unix.AF_CAN: "AF_CAN", unix.AF_TIPC: "AF_TIPC", unix.AF_BLUETOOTH: "AF_BLUETOOTH", unix.AF_IUCV: "AF_IUCV",
	unix.AF_RXRPC: "AF_RXRPC", unix.AF_ISDN: "AF_ISDN", unix.AF_PHONET: "AF_PHONET", unix.AF_IEEE802154: "AF_IEEE802154",
	unix.AF_CAIF: "AF_CAIF", unix.AF_ALG: "AF_ALG", unix.AF_NFC: "AF_NFC", unix.AF_VSOCK: "AF_VSOCK", unix.AF_KCM: "AF_KCM",
	unix.AF_QIPCRTR: "AF_QIPCRTR", unix.AF_SMC: "AF_SMC", unix.AF_XDP: "AF_XDP", unix.AF_MCTP: "AF_MCTP",
}

var typeNames = map[int]string{
	unix.SOCK_STREAM: "SOCK_STREAM", unix.SOCK_DGRAM: "SOCK_DGRAM", unix.SOCK_RAW: "SOCK_RAW", unix.SOCK_RDM: "SOCK_RDM",
	unix.SOCK_SEQPACKET: "SOCK_SEQPACKET", unix.SOCK_DCCP: "SOCK_DCCP", unix.SOCK_PACKET: "SOCK_PACKET",
}

// lastFamily is beyond the newest there is: tsi has families of its own (libkrunfw 516ceece af_tsi.h has 46).
const lastFamily = 63

// tryFamilies makes a socket of each family and type, and lists those that can be made.
func tryFamilies(v *sight) error {
	for family := 1; family <= lastFamily; family++ {
		for kind := 1; kind <= unix.SOCK_PACKET; kind++ {
			if kind > unix.SOCK_DCCP && kind < unix.SOCK_PACKET || !canMake(family, kind) {
				continue
			}
			v.add(name(familyNames, family), name(typeNames, kind))
		}
	}
	return nil
}

// canMake tries the default protocol, and where the type has none the first, which is ICMP's of a raw socket.
func canMake(family, kind int) bool {
	for proto := range 2 {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
		if err == nil {
			_ = unix.Close(fd)
			return true
		}
		if !errors.Is(err, unix.EPROTONOSUPPORT) {
			return false
		}
	}
	return false
}

func name(names map[int]string, number int) string {
	if n, ok := names[number]; ok {
		return n
	}
	return strconv.Itoa(number)
}
