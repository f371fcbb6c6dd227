//go:build linux

package vnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// tunPath is the device every TUN interface is made through.
const tunPath = "/dev/net/tun"

// openTUN makes a TUN interface in the calling thread's network namespace. It
// goes away with the last copy of the file.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		err = &fs.PathError{Op: "open", Path: tunPath, Err: err}
		return nil, fmt.Errorf("vnet: a guest network needs a TUN device (%s): %w", tunAdvice(err), err)
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("vnet: interface %q: %w", name, err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("vnet: make TUN interface %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), tunPath), nil
}

func tunAdvice(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "in a container run with --device /dev/net/tun, else modprobe tun"
	case errors.Is(err, fs.ErrPermission):
		return "as root: chmod 0666 /dev/net/tun"
	default:
		return "is the tun module loaded?"
	}
}
