package smolvm

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A Port publishes a TCP port of the guest on the host.
type Port struct {
	Host, Guest uint16 // 1 to 65535
}

// String is p as smolvm spells it, "8080:80".
func (p Port) String() string { return fmt.Sprintf("%d:%d", p.Host, p.Guest) }

// A Volume is a host directory that the guest sees.
type Volume struct {
	// Host is the absolute path of a directory that exists, Guest an absolute one. Neither may hold a colon, which parts them for smolvm.
	Host, Guest string
	// ReadOnly keeps the guest from writing there.
	ReadOnly bool
}

// String is v as smolvm spells it, "/host:/guest:ro".
func (v Volume) String() string {
	s := v.Host + ":" + v.Guest
	if v.ReadOnly {
		s += ":ro"
	}
	return s
}

func (v Volume) check() error {
	if err := checkText("host directory", v.Host); err != nil {
		return err
	}
	if err := checkGuestPath(v.Guest); err != nil {
		return err
	}
	if !filepath.IsAbs(v.Host) || strings.Contains(v.Host+v.Guest, ":") {
		return fmt.Errorf("%w: volume %q on %q: want absolute paths without a colon", ErrInvalid, v.Host, v.Guest)
	}
	return nil
}

// checkAttached refuses malformed ports, volumes and init commands. Two ports on one host port would fail at the start only.
func checkAttached(o CreateOptions) error {
	taken := map[uint16]bool{}
	for _, p := range o.Ports {
		if p.Host == 0 || p.Guest == 0 || taken[p.Host] {
			return fmt.Errorf("%w: port %s: want two numbers from 1 on, and each host port once", ErrInvalid, p)
		}
		taken[p.Host] = true
	}
	for _, v := range o.Volumes {
		if err := v.check(); err != nil {
			return err
		}
	}
	for _, cmd := range o.Init {
		if cmd == "" || strings.HasPrefix(cmd, "-") {
			return fmt.Errorf("%w: init command %q", ErrInvalid, cmd)
		}
		if err := checkText("init command", cmd); err != nil {
			return err
		}
	}
	return nil
}
