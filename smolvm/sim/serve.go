//go:build linux

package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The subcommands of "smolvm serve" (smolvm serve.rs).
var serveCommands = []subcommand{
	{[]string{"start"}, grammar{path: "serve start", about: "Start the HTTP API server", options: serveOptions}, runServe},
	{[]string{"openapi"}, grammar{path: "serve openapi", about: "Print the API's OpenAPI specification"}, runOpenAPI},
}

var serveOptions = []option{
	{long: "listen", short: 'l', value: "ADDR:PORT|PATH"},
	{long: "verbose", short: 'v'},
	{long: "cors-origin", value: "ORIGIN", many: true},
	{long: "json-logs"},
	{long: "seccomp", value: "MODE", since: release{0, 8, 2}},
	{long: "landlock", value: "MODE", since: release{0, 8, 2}},
}

func (s *session) serve(args []string) (int, error) {
	top := grammar{path: "serve <COMMAND>"}
	if len(args) == 0 {
		fmt.Fprint(s.stderr, serveHelp())
		return 2, nil
	}
	first := args[0]
	if first == "--help" || first == "-h" || first == "help" {
		fmt.Fprint(s.stdout, serveHelp())
		return 0, nil
	}
	for _, c := range serveCommands {
		if slices.Contains(c.names, first) {
			c.grammar.options = optionsOf(s.Release, c.grammar.options)
			return s.subcommand(c, args[1:])
		}
	}
	if strings.HasPrefix(first, "-") {
		return 0, top.fail("unexpected argument '%s' found", first)
	}
	return 0, top.fail("unrecognized subcommand '%s'", first)
}

func serveHelp() string {
	return simulatorNotice + `
Usage: smolvm serve <COMMAND>

Commands:
  start    Start the HTTP API server
  openapi  Print the API's OpenAPI specification
`
}

// runServe serves until SIGTERM or SIGINT. The machines it started live on.
func runServe(s *session, _ grammar, a arguments) (int, error) {
	listener, where, err := listen(a.one("listen", s.defaultListen()))
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		s.note("WARNING: Server is listening on all interfaces (%s).", tcp.IP)
		s.note("         The API has no authentication - any network client can control this host.")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	server := &http.Server{Handler: newAPI(s.serving()), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	s.say("smolvm API server listening on %s", where)
	select {
	case err := <-failed:
		return 0, &failure{text: "io operation failed: " + err.Error(), err: err}
	case <-ctx.Done():
	}
	s.note("\nShutting down server (VMs continue running)...")
	grace, cancel := context.WithTimeout(context.Background(), shutdownAck)
	defer cancel()
	_ = server.Shutdown(grace)
	return 0, nil
}

// serving is the session that requests are served in: from 1.3.9 on the floor is strict unless the environment says otherwise.
func (s *session) serving() *session {
	out := *s
	out.env = maps.Clone(s.env)
	if _, set := out.env["SMOLVM_EGRESS_FLOOR"]; s.ServeFloorStrict && !set {
		out.env["SMOLVM_EGRESS_FLOOR"] = string(floorStrict)
	}
	return &out
}

func (s *session) defaultListen() string {
	dir := s.env["XDG_RUNTIME_DIR"]
	if !filepath.IsAbs(dir) {
		dir = "/tmp"
	}
	return "unix://" + filepath.Join(dir, "smolvm.sock")
}

// listen opens an address, or the socket at a path; where is how it is announced.
func listen(target string) (l net.Listener, where string, err error) {
	if addr, err := netip.ParseAddrPort(target); err == nil {
		if l, err = net.Listen("tcp", addr.String()); err != nil {
			return nil, "", ioError(err)
		}
		return l, "http://" + l.Addr().String(), nil
	}
	if !strings.HasPrefix(target, "unix://") && !strings.HasPrefix(target, "/") && strings.Contains(target, ":") {
		return nil, "", configError("parse listen address", "invalid address '%s': expected a valid ADDR:PORT or a unix:// path", target)
	}
	path := strings.TrimPrefix(target, "unix://")
	if err := makeRoom(path); err != nil {
		return nil, "", err
	}
	if l, err = net.Listen("unix", path); err != nil {
		return nil, "", ioError(err)
	}
	return l, "unix://" + path, nil
}

func ioError(err error) *failure {
	return &failure{text: "io operation failed: " + err.Error(), err: err}
}

// makeRoom removes a socket nobody listens at. smolvm removes whatever is there; a simulator must not take smolvm's own.
func makeRoom(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return ioError(err)
	}
	if conn, err := new(net.Dialer).DialContext(context.Background(), "unix", path); err == nil {
		_ = conn.Close()
		return ioError(fmt.Errorf("another server listens at %q; name another socket with --listen unix://PATH", path))
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		err = fmt.Errorf("%q is not a socket", path)
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return ioError(err)
	}
	return nil
}
