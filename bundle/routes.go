package bundle

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"net/netip"
	"strings"
)

// parseRoutes reads proc(5)'s /proc/net/route. The default route, which covers everything, is left out.
func parseRoutes(r io.Reader) ([]occupied, error) {
	var out []occupied
	sc := bufio.NewScanner(r)
	for line := 0; sc.Scan(); line++ {
		f := strings.Fields(sc.Text())
		if line == 0 || len(f) == 0 {
			continue // the heading
		}
		if len(f) < 8 {
			return nil, fmt.Errorf("route %q has %d fields", sc.Text(), len(f))
		}
		dst, err := hexWord(f[1])
		if err != nil {
			return nil, err
		}
		mask, err := hexWord(f[7])
		if err != nil {
			return nil, err
		}
		if mask == 0 {
			continue
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], dst)
		out = append(out, occupied{netip.PrefixFrom(netip.AddrFrom4(b), bits.LeadingZeros32(^mask)).Masked(), "route via " + f[0]})
	}
	return out, sc.Err()
}

// hexWord reads eight hex digits that the kernel printed in its own byte order.
func hexWord(s string) (uint32, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 {
		return 0, fmt.Errorf("route: %q is no address", s)
	}
	var native [4]byte
	binary.NativeEndian.PutUint32(native[:], binary.BigEndian.Uint32(b))
	return binary.BigEndian.Uint32(native[:]), nil
}
