package probes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"bottle.internal/internal/echo"
	"bottle.internal/probes/agent"
)

// An Injection is a credential that a proxy puts into the requests that it lets through, so that the guest never has it. The zero
// Injection is none.
type Injection struct {
	// Header is the header of the request in which it goes upstream.
	Header string
	// Secret is the credential, or one that stands in for it in a test. It must not reach a guest by way of this site.
	Secret string
	// Prefix is what Secret begins with and is no secret: the guest is told it, to search for.
	Prefix string
}

// injectionRows are asked where a credential is put in on the way.
var injectionRows = []Probe{
	{
		ID: "cred.injected", Family: "cred", Severity: High, Expect: Contain,
		What:    "Search the guest's environments, command lines, kernel command line and log for the credential that the proxy puts into its requests.",
		Why:     "A credential is put in on the way so that the guest need not have it. One that is in the guest all the same is the guest's, whatever the proxy does.",
		Control: "An origin on the proxy's list has the credential in the header of a request that came through the proxy, before and after: it is applied, and there is something to hide. The guest is told its beginning; what comes back whole was found.",
		Remedy:  "Give the credential to the sidecar alone, by a file or a variable of its own.",
		Source:  "nono; microsandbox (secrets that are put in by the host)", Where: "Where the site declares a credential that its proxy puts in. The default bundle's puts none in: not applicable.",
		aims: (*rig).injectedAims,
	},
}

func (r *rig) injectedAims() ([]aim, absence) {
	p := r.site.Proxy
	switch {
	case p == nil:
		return nil, absence{why: "the site has no proxy", unproven: true}
	case p.Injection.Secret == "":
		return nil, absence{why: "the site declares no credential that its proxy puts into requests: there is none to be hidden", unproven: true}
	}
	o, none := r.allowedOrigin(*p)
	if none.why != "" {
		return nil, none
	}
	a := look(agent.Search, p.Injection.Prefix, contains("the credential that the proxy puts in came out of the guest", p.Injection.Secret))
	a.post = &post{Target: Target{Name: "the credential in the proxy", Alive: func(ctx context.Context) error { return o.applied(ctx, *p) }}}
	return []aim{a}, absence{}
}

// applied asks the origin by way of the proxy, and is an error if the credential is not in what arrives.
func (o *origin) applied(ctx context.Context, p Proxy) error {
	ctx, cancel := context.WithTimeout(ctx, aliveLimit)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Addr.String())
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	n := echo.NewNonce()
	if _, err := conn.Write(bytes.Join(fetch("GET", p.Origin.listed(), n), nil)); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(conn, echo.MaxReply))
	if err != nil && len(b) == 0 {
		return err
	}
	if !bytes.Contains(b, []byte(o.canary.Secret().Proof(n))) {
		return fmt.Errorf("the proxy does not fetch from the origin: %s", excerpt(b))
	}
	if !o.canary.heard(n, p.Injection.Header, p.Injection.Secret) {
		return errors.New("the proxy's request to the origin is without the credential")
	}
	return nil
}
