package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/elazarl/goproxy"
)

const (
	// headerTimeout bounds a peer that connects and says nothing.
	headerTimeout = 10 * time.Second
	// dialTimeout bounds one dial of the egress hop, name resolution included.
	dialTimeout = 10 * time.Second
	// refusalLimit bounds, in bytes, what is quoted of the next hop's refusal.
	refusalLimit = 512
)

// errDenied says that a rule, not the network, stopped a request.
var errDenied = errors.New("denied")

// newProxy is the guest's way out: it judges by the allowlist and hands on to the egress hop.
func newProxy(s Settings, j *journal) http.Handler {
	p := newForwarder(s, j)
	p.Tr.Proxy = http.ProxyURL(s.Upstream)
	p.ConnectDialWithReq = func(req *http.Request, _, addr string) (net.Conn, error) {
		c, err := dialThrough(req.Context(), s.Upstream, addr)
		if err != nil {
			return nil, err
		}
		return &tunnel{Conn: c, judge: func(name string) bool { return j.inside(s.Allow, req.RemoteAddr, addr, name) }}, nil
	}
	judge := func(method, peer string, t target, ok bool) verdict {
		v := verdict{false, "malformed-target"}
		if ok {
			v = s.Allow.judge(t, ownAddr)
		}
		j.decide(method, peer, t.String(), v)
		return v
	}
	p.OnRequest().HandleConnectFunc(func(host string, ctx *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		t, ok := parseTarget(host, 0)
		if v := judge(http.MethodConnect, ctx.Req.RemoteAddr, t, ok); !v.allow {
			ctx.Resp = refusal(ctx.Req, http.StatusForbidden, denial(host, v))
			return goproxy.RejectConnect, host
		}
		return goproxy.OkConnect, t.String()
	})
	p.OnRequest().DoFunc(func(r *http.Request, _ *goproxy.ProxyCtx) (*http.Request, *http.Response) {
		t, ok := parseTarget(r.URL.Host, 80)
		ok = ok && r.URL.Scheme == "http" && r.URL.User == nil // TLS is CONNECT's: here it would end in the proxy
		if v := judge(r.Method, r.RemoteAddr, t, ok); !v.allow {
			return r, refusal(r, http.StatusForbidden, denial(r.URL.Host, v))
		}
		r.URL.Host = t.String()
		return r, nil
	})
	return p
}

// inside decides by the name that a TLS client asks for in its tunnel to addr: the tunnel's own, or another that is listed at its port.
func (j *journal) inside(rules Rules, peer, addr, name string) bool {
	asked, _ := parseTarget(addr, 0) // it was judged
	t, ok := parseTarget(name, asked.port)
	if ok && t == asked {
		return true
	}
	v := verdict{false, "malformed-server-name"}
	if ok {
		v = rules.judge(t, ownAddr)
	}
	j.decide("TLS", peer, t.String(), v)
	return v.allow
}

// newEgress is the hop that dials out. Names were judged before; it alone sees the address a name resolves to, and refuses
// the container's own.
func newEgress(s Settings, j *journal) http.Handler {
	p := newForwarder(s, j)
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		asked, _ := parseTarget(addr, 0)
		d := net.Dialer{Timeout: dialTimeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: cannot read the address %q", errDenied, address)
			}
			v := s.Allow.guard(asked, ap, ownAddr)
			j.decide("DIAL", "", addr+" "+ap.String(), v)
			if !v.allow {
				return fmt.Errorf("%w %q (%s): rule %s", errDenied, addr, ap, v.rule)
			}
			return nil
		}}
		return d.DialContext(ctx, network, addr)
	}
	p.Tr.DialContext = dial
	p.ConnectDialWithReq = func(req *http.Request, network, addr string) (net.Conn, error) {
		return dial(req.Context(), network, addr)
	}
	return p
}

// newForwarder is what both hops share: goproxy without a way out, the echo protocol for whoever addresses it directly, and
// errors that tell a denial (403) from a network that failed (502).
func newForwarder(s Settings, j *journal) *goproxy.ProxyHttpServer {
	p := goproxy.NewProxyHttpServer()
	p.Logger = j
	p.NonproxyHandler = newEchoes(s.Secret, j)
	// goproxy's own transport takes proxies from the environment and skips TLS verification.
	p.Tr = &http.Transport{DisableCompression: true, TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: 30 * time.Second}
	p.KeepAcceptEncoding = true
	p.ConnectDial = nil
	p.ConnectionErrHandler = func(w io.Writer, ctx *goproxy.ProxyCtx, err error) {
		_ = refusal(ctx.Req, statusOf(err), err.Error()).Write(w)
	}
	p.OnResponse().DoFunc(func(resp *http.Response, ctx *goproxy.ProxyCtx) *http.Response {
		if resp == nil && ctx.Error != nil {
			return refusal(ctx.Req, statusOf(ctx.Error), ctx.Error.Error())
		}
		return resp
	})
	return p
}

// decide logs one decision.
func (j *journal) decide(method, peer, to string, v verdict) {
	d := decision{Time: time.Now().UTC(), Decision: "deny", Daemon: j.daemon, Method: method, Target: to, Rule: v.rule, Peer: peer}
	if v.allow {
		d.Decision = "allow"
	}
	if c, ok := j.peers.Load(peer); ok {
		d.Nonces = c.(*overheard).settle()
	}
	j.write(d)
}

func denial(to string, v verdict) string {
	return fmt.Sprintf("denied %q: rule %s", to, v.rule)
}

func statusOf(err error) int {
	if errors.Is(err, errDenied) {
		return http.StatusForbidden
	}
	return http.StatusBadGateway
}

func refusal(r *http.Request, code int, text string) *http.Response {
	resp := goproxy.NewResponse(r, "text/plain; charset=utf-8", code, "bottle: "+text+"\n")
	resp.ProtoMajor, resp.ProtoMinor, resp.Close = 1, 1, true
	return resp
}

// dialThrough opens a tunnel to addr by CONNECT through an http proxy. goproxy's own drops bytes that a server sends before
// the client speaks, which SMTP and SSH servers do.
func dialThrough(ctx context.Context, hop *url.URL, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "tcp", hop.Host)
	if err != nil {
		return nil, fmt.Errorf("dialling the egress hop: %w", err)
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	_ = c.SetDeadline(time.Now().Add(2 * dialTimeout))
	if err := req.Write(c); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("asking the egress hop for %q: %w", addr, err)
	}
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("the egress hop's answer for %q: %w", addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, hopRefusal(c, resp)
	}
	_ = c.SetDeadline(time.Time{})
	if br.Buffered() == 0 {
		return c, nil
	}
	return &earlyConn{Conn: c, r: br}, nil
}

func hopRefusal(c net.Conn, resp *http.Response) error {
	defer c.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, refusalLimit))
	text := strings.TrimPrefix(strings.TrimSpace(string(b)), "bottle: ")
	if resp.StatusCode == http.StatusForbidden {
		return fmt.Errorf("egress hop: %s (%w)", text, errDenied)
	}
	return fmt.Errorf("egress hop: %s: %s", resp.Status, text)
}

// An earlyConn first reads what came with the tunnel's answer.
type earlyConn struct {
	net.Conn
	r io.Reader
}

func (c *earlyConn) Read(b []byte) (int, error) { return c.r.Read(b) }

func (c *earlyConn) CloseWrite() error { return closeWrite(c.Conn) }

func (c *earlyConn) CloseRead() error { return closeRead(c.Conn) }

// serve runs h, which logs by j, on addr until ctx ends; tunnels are cut then.
func serve(ctx context.Context, addr netip.AddrPort, h http.Handler, j *journal) error {
	l, err := listenTCP(addr)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(overhearing{l, j}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", addr, err)
	}
	return nil
}

// listenTCP listens on exactly addr: by network "tcp" the net package would take 0.0.0.0 for [::].
func listenTCP(addr netip.AddrPort) (net.Listener, error) {
	network := "tcp4"
	if addr.Addr().Is6() {
		network = "tcp6"
	}
	l, err := net.Listen(network, addr.String())
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l, nil
}
