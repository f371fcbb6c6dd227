//go:build linux

package sim

import (
	"archive/tar"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// finish sets what creating the entries of a directory would change again, the deepest first.
func (u *unpacker) finish() error {
	done := map[string]bool{}
	for _, h := range slices.Backward(u.dirs) {
		if done[h.Name] {
			continue // the last entry of a name counts
		}
		done[h.Name] = true
		dir, err := u.tree.open(h.Name)
		if err != nil {
			continue // replaced by a later entry
		}
		err = u.settle(dir, "", h)
		_ = unix.Close(dir)
		if err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
	return nil
}

// settle gives an entry its owner, mode and time. Without a base it is the directory itself.
func (u *unpacker) settle(dir int, base string, h *tar.Header) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if base == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if uid, gid, ok := u.ids(h); ok {
		if err := unix.Fchownat(dir, base, uid, gid, flags); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("/proc/self/fd/%d/%s", dir, base)
	if h.Typeflag != tar.TypeSymlink {
		if err := unix.Fchmodat(unix.AT_FDCWD, name, uint32(h.Mode&0o7777), 0); err != nil { //nolint:gosec // 12 bits
			return err
		}
	}
	when := h.ModTime
	if when.Before(time.Unix(0, 0)) {
		when = time.Unix(0, 0)
	}
	ts := unix.NsecToTimespec(when.UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

// ids are the host's ids for an entry's, false where they stay this process's own.
func (u *unpacker) ids(h *tar.Header) (uid, gid int, ok bool) {
	switch u.own {
	case ownerSingle:
		return 0, 0, false
	case ownerSquashed:
		return guestIDs, guestIDs, true
	}
	return guestID(h.Uid), guestID(h.Gid), true
}

// guestID shifts an id into the guest's range; one outside it is nobody.
func guestID(id int) int {
	if id < 0 || id >= guestRange {
		id = 65534
	}
	return guestIDs + id
}
