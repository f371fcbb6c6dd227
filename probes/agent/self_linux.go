package agent

import (
	"bytes"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bottle.internal/internal/echo"
)

const (
	// selfBound is how long the guest's own new listener may take to be honoured: on tsi a listen asks the host first, and up
	// to 250 ms were measured in the model of it.
	selfBound = 500 * time.Millisecond
	selfPause = 10 * time.Millisecond
)

// checkSelf is control C0: that the prober can dial at all, shown on the guest's own loopback, and where it runs.
func checkSelf(end time.Time) Self {
	s := Self{UID: os.Getuid()}
	s.checkEcho(end)
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		s.Notes = append(s.Notes, "uname: "+err.Error())
	}
	s.Kernel, s.Hostname = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Nodename[:])
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		s.Notes = append(s.Notes, err.Error())
	}
	s.BootID = string(bytes.TrimSpace(boot))
	if s.Interfaces, err = interfaces(); err != nil {
		s.Notes = append(s.Notes, "interfaces: "+err.Error())
	}
	return s
}

func (s *Self) checkEcho(end time.Time) {
	start := time.Now()
	stop := start.Add(selfBound)
	if end.Before(stop) {
		stop = end
	}
	l, err := listenSelf(stop)
	if err != nil {
		s.EchoError = err.Error()
		return
	}
	go l.serve()
	defer l.end()
	for {
		s.EchoTries++
		nonce := echo.NewNonce()
		r := dial(Attempt{Network: TCP4, Addr: l.addr, Nonce: nonce, BudgetMS: int(time.Until(stop).Milliseconds()) + 1}, time.Now())
		s.EchoUS = time.Since(start).Microseconds()
		if r.Observation == Reachable {
			s.Echo, s.EchoError = true, ""
			return
		}
		s.EchoError = "the guest's own listener at " + l.addr.String() + ": " + strings.TrimSpace(string(r.Observation)+" "+r.Errno)
		if time.Now().Add(selfPause).After(stop) {
			return
		}
		time.Sleep(selfPause)
	}
}

// interfaces lists the guest's addresses, as the kernel tells them over netlink.
func interfaces() ([]string, error) {
	rib, err := syscall.NetlinkRIB(syscall.RTM_GETADDR, syscall.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	msgs, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, m := range msgs {
		if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < syscall.SizeofIfAddrmsg {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return all, err
		}
		if line := interfaceAddr(m.Data[1], attrs); line != "" {
			all = append(all, line)
		}
	}
	return all, nil
}

// interfaceAddr renders one address with the prefix length bits. IPv4 has its label in the message; IPv6 has none.
func interfaceAddr(bits byte, attrs []syscall.NetlinkRouteAttr) string {
	var addr netip.Addr
	var label string
	for _, a := range attrs {
		switch a.Attr.Type {
		case syscall.IFA_LOCAL, syscall.IFA_ADDRESS:
			if ip, ok := netip.AddrFromSlice(a.Value); ok && (!addr.IsValid() || a.Attr.Type == syscall.IFA_LOCAL) {
				addr = ip
			}
		case syscall.IFA_LABEL:
			label = strings.TrimRight(string(a.Value), "\x00") + " "
		}
	}
	if !addr.IsValid() {
		return ""
	}
	return label + addr.String() + "/" + strconv.Itoa(int(bits))
}
