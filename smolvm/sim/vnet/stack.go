//go:build linux

package vnet

import (
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// nicID is the stack's only interface.
const nicID = 1

// Buffers of the stack's TCP endpoints, in bytes. The guest is a memory copy away,
// so large ones buy nothing.
const (
	bufferMin     = 4 << 10
	bufferDefault = 256 << 10
	bufferMax     = 1 << 20
)

// timeWait is how long the stack remembers an ended connection. There is no wire
// on which a segment could be late, and a SYN from a port it remembers is lost.
const timeWait = 5 * time.Millisecond

// startStack makes a stack that takes every address for its own.
func (n *Network) startStack() error {
	n.stack = stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocolWithOptions(ipv4.Options{AllowExternalLoopbackTraffic: true}),
			ipv6.NewProtocolWithOptions(ipv6.Options{AllowExternalLoopbackTraffic: true}),
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: bufferMin, Default: bufferDefault, Max: bufferMax}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: bufferMin, Default: bufferDefault, Max: bufferMax}
	sack := tcpip.TCPSACKEnabled(true)
	timeWait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	forward := tcp.NewForwarder(n.stack, bufferDefault, 2*maxFlows, n.handleTCP)
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, forward.HandlePacket)
	n.stack.SetTransportProtocolHandler(udp.ProtocolNumber, n.udp.handle)
	for _, err := range []tcpip.Error{
		n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &receive),
		n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &send),
		n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack),
		n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &timeWait),
		n.stack.CreateNIC(nicID, n.link),
		n.stack.SetPromiscuousMode(nicID, true),
		n.stack.SetSpoofing(nicID, true),
	} {
		if err != nil {
			return fmt.Errorf("vnet: start the stack: %s", err)
		}
	}
	if err := n.addGateway(); err != nil {
		return err
	}
	n.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID},
		{Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	return nil
}

// addGateway gives the stack the addresses that answer the guest's pings, where it
// gets to see any, and that published ports are dialled from.
func (n *Network) addGateway() error {
	for _, a := range []netip.Addr{gatewayV4, gatewayV6} {
		own := tcpip.ProtocolAddress{
			Protocol:          header.IPv4ProtocolNumber,
			AddressWithPrefix: tcpipAddr(a).WithPrefix(),
		}
		if a.Is6() {
			own.Protocol = header.IPv6ProtocolNumber
		}
		if err := n.stack.AddProtocolAddress(nicID, own, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("vnet: gateway %s: %s", a, err)
		}
	}
	return nil
}
