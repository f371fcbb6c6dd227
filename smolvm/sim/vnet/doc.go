// Package vnet is the network of a simulated machine: the guest's network
// namespace has one interface, a TUN device, and its other end is a user-space
// TCP/IP stack (gVisor's netstack) in the machine's supervisor process, which
// checks the egress policy and dials the host, as smolvm's own relays do.
//
// Two backends model smolvm's two:
//
//   - virtio-net: eth0 100.96.0.2/30 and fd53:4d00::2/64 with default routes.
//     A denied connect is answered by RST (ECONNREFUSED); the handshake of an
//     allowed one is completed before the host is dialled, so connect() == 0
//     proves nothing (smolvm v1.9.3 tcp_relay.rs).
//   - tsi: a denied connect fails with EACCES inside connect(), through
//     policy routing in the guest's namespace; an allowed one is dialled first
//     and completed after. 127.0.0.0/8 and ::1 are the guest's own listeners
//     first and the host's loopback second (libkrunfw af_tsi.c).
//
// It is hermetic: an address that is not this host's own, nor on the connected
// subnet of one of its bridges, is never dialled. Such a flow goes to the world
// socket of [Config], or nowhere.
//
// It is a model to develop and test against. It is not a security boundary.
//
// # Where the model differs from libkrun's TSI
//
// The guest's sockets are ordinary ones. SO_DOMAIN is 2 and not 46, connect()
// honours O_NONBLOCK, getsockname() shows an address, options reach a stack.
//
//   - 0.0.0.0 is the guest's loopback and nothing else; libkrun asks the
//     host's next. [::] does go on to the host, because Linux rewrites it to
//     ::1 before it routes.
//   - ::ffff:a.b.c.d leaves an IPv6 socket as a.b.c.d, so the guest reaches it
//     where a.b.c.d is allowed; libkrun matches the mapped form, and denies.
//   - connect() of an IPv6 UDP socket to a denied address succeeds and the
//     datagrams are dropped, and one connected to [::1] reaches the host's loopback
//     without a policy; libkrun says EACCES to the one and keeps the other inside,
//     as the model does for IPv4. An IPv4 UDP socket bound to an address of its own,
//     127.0.0.1 say, is taken for a connected one: its sendto() to a denied address
//     is EACCES, and to 127.0.0.0/8 it stays inside. After an EACCES send() is
//     EDESTADDRREQ; libkrun says EINVAL.
//   - UDP replies come from the address that was dialled and from no other:
//     libkrun's made-up source address and its unconnected host socket are not
//     modelled.
//   - A listener of the guest shadows the host's of the same port from the
//     moment it is noticed: within 5 ms, or 20 in a guest that was quiet for
//     two seconds. Without a policy a connect in between is handed back and
//     nothing is lost; with one it fails with EACCES, unless the port is from
//     the guest's ephemeral range (20000-24095), where connects always stay in
//     the guest and an unserved port is ECONNREFUSED. UDP to [::1] stays inside
//     on these ports without a policy too.
//   - A UDP socket connected to [::1] before a server of the guest's on [::]
//     was noticed (50 ms) gets no answer from it.
//   - A published port is the host's once the guest's listener was noticed, 5 ms
//     after listen() or up to 50 in a guest that was quiet, and a moment longer than that listener. What listens
//     at an address that is not the guest's own (IP_FREEBIND) opens the host's port
//     as in libkrun, and every connection to it is reset after 10 seconds. A port
//     of the guest's ephemeral range that is published stays reachable from inside
//     under a policy.
//   - The guest sees a published port's clients come from 100.96.0.1 or
//     fd53:4d00::1, on both backends; libkrun tells the true peer.
//   - libkrun's misdelivery, a datagram for a denied address that goes to the one
//     before it, is not modelled: the supervisor sees ports, not sockets, and a
//     socket that follows another on its port would inherit what it never sent.
//   - An address that a name brought is forgotten with the next answer after it
//     has expired; until then a connect to it is ECONNREFUSED and not EACCES.
//   - A TCP deny happens in the guest's kernel, so the supervisor cannot log it.
//   - A remote end's FIN is a FIN: libkrun before smolvm v1.6.0 made it a RST.
//
// # Where the model differs from both backends
//
//   - A name is never asked of a real resolver, unless the world is open: it is
//     forwarded to the world, in a flow of "dns", or else SERVFAIL. The host filter
//     takes names as they are, without smolvm's patterns. TXT, MX and the like are
//     forwarded as A is.
//   - A ping of one of the host's own addresses is answered without asking its
//     kernel, one that leads to the world is a flow of "icmp", and one into a
//     container network needs net.ipv4.ping_group_range on the host.
//   - 64 questions and pings are under way at a time; what comes beyond is lost.
//   - A published connection that the guest refuses is reset after it was accepted.
package vnet
