package probes

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	miekg "github.com/miekg/dns"

	"bottle.internal/internal/echo"
)

// A DNSCanary is the authority for a zone, over UDP and TCP at one address, which logs who asked for a name that has a nonce for a
// label, in the zone or not, and proves it in the name's TXT. It knows what Canary and UDPCanary know besides. It is safe for
// concurrent use.
type DNSCanary struct {
	zone *zone
	udp  *UDPCanary
	tcp  *Canary
}

// portTries bounds the search for a port that is free over UDP and over TCP.
const portTries = 16

// NewDNSCanary brings up the authority for z at addr, whose port may be 0 for any. It must be closed.
func NewDNSCanary(name string, z Zone, addr netip.AddrPort) (*DNSCanary, error) {
	if _, ok := miekg.IsDomainName(z.Name); z.Name != "" && !ok {
		return nil, fmt.Errorf("probes: a DNS canary for %q: no domain name", z.Name)
	}
	c := &DNSCanary{zone: newZone(z)}
	for try := 1; ; try++ {
		err := c.listen(name, addr)
		if err == nil {
			return c, nil
		}
		if addr.Port() != 0 || try == portTries {
			return nil, err
		}
	}
}

// listen binds both sockets at one port, or none.
func (c *DNSCanary) listen(name string, addr netip.AddrPort) error {
	l, err := net.Listen(tcpNetwork(addr.Addr()), addr.String())
	if err != nil {
		return fmt.Errorf("probes: a DNS canary at %q: %w", addr, err)
	}
	bound, err := boundTo(addr, l.Addr())
	if err != nil {
		_ = l.Close()
		return err
	}
	conn, err := net.ListenPacket(udpNetwork(addr.Addr()), bound.String())
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("probes: a DNS canary at %q: %w", bound, err)
	}
	secret := echo.NewSecret()
	c.udp = &UDPCanary{name: name, addr: bound, secret: secret, conn: newEarshot(conn), answer: c.answerDatagram}
	c.tcp = &Canary{addr: bound, streamCanary: streamCanary{secret: secret, attend: c.attend}}
	c.udp.begin()
	c.tcp.serve(name, "tcp", l)
	return nil
}

// Addr is where the canary is asked.
func (c *DNSCanary) Addr() netip.AddrPort { return c.udp.addr }

// Zone is what the canary is the authority for.
func (c *DNSCanary) Zone() Zone { return c.zone.Zone }

// Secret is what the canary's proofs are made with.
func (c *DNSCanary) Secret() echo.Secret { return c.udp.secret }

// Sightings are the nonces that arrived, oldest first, those of Alive among them. An error means that the log is not complete.
func (c *DNSCanary) Sightings(ctx context.Context) ([]echo.Sighting, error) {
	all, udpErr := c.udp.Sightings(ctx)
	streams, tcpErr := c.tcp.Sightings(ctx)
	all = append(all, streams...)
	slices.SortStableFunc(all, func(a, b echo.Sighting) int { return a.Time.Compare(b.Time) })
	return all, errors.Join(udpErr, tcpErr)
}

// Strangers are the questions and connections since then that brought no nonce.
func (c *DNSCanary) Strangers(since time.Time) []Stranger {
	return append(c.udp.Strangers(since), c.tcp.Strangers(since)...)
}

// Alive asks for the text of a name with a fresh nonce from the canary's own position, over UDP and over TCP, and checks the proofs.
func (c *DNSCanary) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	for _, network := range []string{"udp", "tcp"} {
		if err := c.ask(ctx, network); err != nil {
			return err
		}
	}
	return nil
}

func (c *DNSCanary) ask(ctx context.Context, network string) error {
	n := echo.NewNonce()
	q := new(miekg.Msg).SetQuestion(miekg.Fqdn(string(n)+"."+c.zone.Name), miekg.TypeTXT)
	r, _, err := (&miekg.Client{Net: network, Timeout: aliveLimit}).ExchangeContext(ctx, q, c.Addr().String())
	if err != nil {
		return err
	}
	if len(r.Answer) != 1 {
		return fmt.Errorf("%q: %d records and %s: %w", c.Addr(), len(r.Answer), miekg.RcodeToString[r.Rcode], echo.ErrForeign)
	}
	reply, err := proofOf(r.Answer[0])
	if err != nil {
		return fmt.Errorf("%q: %w", c.Addr(), err)
	}
	if !c.Secret().Verify(n, reply) {
		return fmt.Errorf("%q: the proof is not its own: %w", c.Addr(), echo.ErrForeign)
	}
	return nil
}

// Target is the canary as a probe asks it.
func (c *DNSCanary) Target() Target {
	return Target{Name: c.udp.name, Addr: c.Addr(), Secret: c.Secret(), Alive: c.Alive, Sightings: c.Sightings}
}

// Close stops answering. It may be called twice.
func (c *DNSCanary) Close() error {
	_ = c.udp.Close()
	return c.tcp.Close()
}

func (c *DNSCanary) answerDatagram(v *visit, m message, b []byte) []byte {
	if m.nonce != "" && m.form != "dns" {
		return c.udp.prove(v, m, b)
	}
	return c.zone.answer(b, miekg.MinMsgSize, c.proof(v, m.nonce))
}

// proof is what proves n to v, nil if there is none.
func (c *DNSCanary) proof(v *visit, n echo.Nonce) []byte {
	if n == "" {
		return nil
	}
	return echo.Line(echo.NewReply(c.Secret(), v.Name, n, v.Peer, v.Local))
}

// attend answers one connection: all the questions that it brings, or, if it begins with no length that a question has, what else a
// canary knows.
func (c *DNSCanary) attend(ctx context.Context, conn net.Conn, v *visit) {
	_ = conn.SetDeadline(time.Now().Add(visitLimit))
	r := bufio.NewReader(conn)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	size, err := r.Peek(2)
	if err != nil || binary.BigEndian.Uint16(size) > maxRequest {
		serveStream(ctx, buffered{r, conn}, v, v.sawAs, c.tcp.answer)
		return
	}
	defer func() { _ = conn.Close() }()
	for {
		b, err := readFrame(r)
		if err != nil {
			return
		}
		m := readDatagram(b)
		if m.nonce != "" && v.Nonce != "" {
			v = c.tcp.ledger.enter(v.Name, "tcp", v.Peer, v.Local)
		}
		if m.nonce != "" {
			v.sawAs(m.form, m.nonce)
		}
		answer := c.zone.answer(b, miekg.MaxMsgSize, c.proof(v, m.nonce))
		if answer == nil || writeFrame(conn, answer) != nil {
			return
		}
	}
}
