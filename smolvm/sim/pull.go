//go:build linux

package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// pullTimeout is smolvm's for a pull in the guest (smolvm v0.8.0 client.rs).
const pullTimeout = 600 * time.Second

// checkReference refuses what is no registry reference, in smolvm's words (#890).
func checkReference(ref string) error {
	if ref == "" {
		return errors.New("image reference cannot be empty")
	}
	if !alphanumeric(rune(ref[0])) {
		return errors.New("image reference must start with alphanumeric")
	}
	if _, err := name.ParseReference(ref); err != nil {
		return fmt.Errorf("invalid image reference '%s'", ref)
	}
	return nil
}

// pull fetches a machine's image on the way its own network would go, keeps it, and unpacks it.
func (s *session) pull(r record) (content, error) {
	s.note("Pulling %s...", r.Image)
	if err := checkReference(r.Image); err != nil {
		return content{}, pullError(r.Image, "%w", err)
	}
	if !r.Network {
		return content{}, pullError(r.Image, "network is unreachable: the machine has no network (use --net)")
	}
	allow := func(addr netip.Addr) bool { return s.PullAllowed || r.allows(addr) }
	img, err := s.fetchImage(r.Image, "", allow)
	if err != nil {
		return content{}, pullError(r.Image, "%w", err)
	}
	c, err := s.unpackImage(img)
	if err != nil {
		return content{}, pullError(r.Image, "%w", err)
	}
	return c, nil
}

func pullError(ref, format string, args ...any) error {
	return agentError("pull image", "%s: %w", ref, fmt.Errorf(format, args...))
}

// allows reports whether the machine's policy lets its guest reach an address.
func (r record) allows(addr netip.Addr) bool {
	if !r.Policy {
		return true
	}
	for _, s := range r.Allow {
		if p, err := netip.ParsePrefix(s); err == nil && p.Masked().Contains(addr) {
			return true
		}
	}
	return false
}

// fetchImage fetches an image into the user's store of images. platform is "os/arch", "" for this host's. Every blob is
// checked against its digest on the way in.
func (s *session) fetchImage(ref, platform string, allow func(netip.Addr) bool) (v1.Image, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pullTimeout)
	defer cancel()
	img, err := remoteImage(ctx, ref, platform, allow)
	if err != nil {
		return nil, err
	}
	return s.keep(img)
}

func remoteImage(ctx context.Context, ref, platform string, allow func(netip.Addr) bool) (v1.Image, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, err
	}
	if platform == "" {
		platform = hostPlatform()
	}
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, err
	}
	return remote.Image(parsed, remote.WithContext(ctx), remote.WithPlatform(*p), remote.WithTransport(hermetic(allow)))
}

func hostPlatform() string { return "linux/" + runtime.GOARCH }

// keep copies an image into the user's OCI layout, layers shared.
func (s *session) keep(img v1.Image) (v1.Image, error) {
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dirs.images, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(s.dirs.images, ".lock"))
	if err := lock.Lock(); err != nil {
		return nil, err
	}
	defer func() { _ = lock.Unlock() }()
	path, err := layout.FromPath(s.dirs.images)
	if err != nil {
		if path, err = layout.Write(s.dirs.images, empty.Index); err != nil {
			return nil, err
		}
	}
	if kept, err := path.Image(digest); err == nil {
		return kept, nil
	}
	if err := path.ReplaceImage(img, match.Digests(digest)); err != nil {
		return nil, err
	}
	return path.Image(digest)
}

// kept returns a pulled image by its digest.
func (s *session) kept(digest string) (v1.Image, error) {
	hash, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	path, err := layout.FromPath(s.dirs.images)
	if err != nil {
		return nil, err
	}
	return path.Image(hash)
}

// hermetic is a transport that reaches this host and nothing else: no packet of a pull leaves the machine. To any other
// address it fails as a host without a network does, redirects and token servers included.
func hermetic(allow func(netip.Addr) bool) http.RoundTripper {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			addr, err := registryAddress(host)
			if err != nil {
				return nil, &net.OpError{Op: "dial", Net: network, Err: err}
			}
			if !allow(addr) {
				return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
			}
			return dialer.DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
		},
	}
}

// registryAddress is the address of a host name that is this machine, found without asking a name server.
func registryAddress(host string) (netip.Addr, error) {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("lookup %s: Temporary failure in name resolution", host)
	}
	addr = addr.Unmap()
	if addr.IsLoopback() {
		return addr, nil
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == addr {
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s: %w", host, syscall.ENETUNREACH)
}
