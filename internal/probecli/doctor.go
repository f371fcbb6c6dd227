package probecli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bottle.internal/bottletest"
	"bottle.internal/bundle"
	"bottle.internal/internal/gobuild"
)

const doctorTimeout = 2 * time.Minute

func newDoctor(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this host can launch, and how to mend what is missing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorTimeout)
			defer cancel()
			return s.doctor(examine(ctx, s.config()))
		},
	}
}

// An examination is one line of doctor.
type examination struct {
	Subject string `json:"subject"`
	OK      bool   `json:"ok"`
	Needed  bool   `json:"needed"` // without it no bottle can be launched
	Found   string `json:"found"`
	Fix     string `json:"fix,omitempty"`
}

// examine asks everything that a launch needs. It launches nothing but the engine's own version command.
func examine(ctx context.Context, cfg bottletest.Config) []examination {
	guest, engine := guestEngine(ctx, cfg), containerEngine(ctx)
	all := []examination{platform(), guest, engine, bundleRuntime(ctx, cfg), binaries()}
	all = append(all, addresses())
	if runtime.GOOS == "darwin" {
		all = append(all, hypervisor(ctx))
	}
	if runtime.GOOS == "linux" {
		all = append(all, device("/dev/kvm", "the real smolvm needs it: load kvm_intel or kvm_amd, and be in its group"),
			device("/dev/net/tun", "the simulator needs it: modprobe tun, or pass the device into the container; other users than root need mode 0666"))
	}
	return all
}

func platform() examination {
	return examination{Subject: "platform", OK: true, Found: runtime.GOOS + "/" + runtime.GOARCH}
}

func guestEngine(ctx context.Context, cfg bottletest.Config) examination {
	e := examination{Subject: "guest engine", Needed: true}
	found, err := bottletest.FindEngine(ctx, cfg)
	if err != nil {
		e.Found, e.Fix = firstClause(err), bottletest.InstallHint
		return e
	}
	e.OK, e.Found = true, found
	return e
}

// firstClause is what err says without the fix that doctor prints on a line of its own.
func firstClause(err error) string {
	text := strings.TrimPrefix(err.Error(), bottletest.ErrUnavailable.Error()+": ")
	return strings.TrimSuffix(text, ": "+bottletest.InstallHint)
}

func containerEngine(ctx context.Context) examination {
	e := examination{Subject: "container engine"}
	found, err := bundle.Detect(ctx)
	if err != nil {
		e.Found, e.Fix = err.Error(), "start Docker, OrbStack, Colima or Podman, or set DOCKER_HOST"
		return e
	}
	e.OK, e.Found = true, fmt.Sprintf("%s %s, API %s, %s/%s at %s", found.Name, found.Version, found.APIVersion, found.OS, found.Arch, found.Host)
	return e
}

// bundleRuntime says what would run the bundle, and how the guest would reach it. A container engine is needed only where
// nothing else can.
func bundleRuntime(ctx context.Context, cfg bottletest.Config) examination {
	e := examination{Subject: "bundle", Needed: true}
	found, err := bottletest.FindBundleRuntime(ctx, cfg)
	if err != nil {
		e.Found, e.Fix = firstClause(err), "start Docker, OrbStack, Colima or Podman, or take a smolvm that can run the bundle in a machine (not 1.0.2, 1.0.3)"
		return e
	}
	e.OK, e.Found = true, found
	return e
}

// binaries says where agent and bundle come from.
func binaries() examination {
	e := examination{Subject: "agent and bundle", Needed: true}
	switch release, err := gobuild.Released(); {
	case err != nil:
		e.Found, e.Fix = err.Error(), "get bottle-probe again: this one was put together wrongly"
		return e
	case release == nil:
		return goCommand()
	default:
		e.OK, e.Found = true, "carried: "+carriedNames(release)
		return e
	}
}

// carriedNames lists what a release has with it, such as "bottle-agent linux/amd64".
func carriedNames(r *gobuild.Release) string {
	var names []string
	for _, c := range r.Binaries {
		names = append(names, c.Command+" "+c.GOOS+"/"+c.GOARCH)
	}
	return strings.Join(names, ", ")
}

func goCommand() examination {
	e := examination{Subject: "go command", Found: runtime.Version()}
	path, err := exec.LookPath("go")
	if err != nil {
		e.Found, e.Fix = "not on PATH", "install Go: the guest's agent and the bundle are built from source where the cache lacks them"
		return e
	}
	e.OK, e.Found = true, path
	return e
}

// device examines a device node by opening it: its presence says nothing about the permission.
func device(path, fix string) examination {
	e := examination{Subject: path}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		e.Found, e.Fix = errors.Unwrap(err).Error(), fix
		return e
	}
	_ = f.Close()
	e.OK, e.Found = true, "can be opened"
	return e
}

func (s *settings) doctor(all []examination) error {
	var missing []error
	for _, e := range all {
		if e.Needed && !e.OK {
			missing = append(missing, fmt.Errorf("no %s", e.Subject))
		}
	}
	if s.json() {
		enc := json.NewEncoder(s.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(all); err != nil {
			return err
		}
	} else {
		s.table(all)
	}
	if len(missing) > 0 {
		return fmt.Errorf("no bottle can be launched here: %w", errors.Join(missing...))
	}
	return nil
}

func (s *settings) table(all []examination) {
	for _, e := range all {
		mark := "ok"
		if !e.OK {
			mark = "--"
		}
		fmt.Fprintf(s.stdout, "%s  %-16s  %s\n", mark, e.Subject, e.Found)
		if e.Fix != "" {
			fmt.Fprintf(s.stdout, "    %-16s  fix: %s\n", "", e.Fix)
		}
	}
}
