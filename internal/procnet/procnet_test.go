package procnet

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestParse(t *testing.T) {
	tests := []struct {
		name, network, text string
		want                []Socket
		fails               bool
	}{
		{name: "empty file", network: "tcp"},
		{name: "heading only", network: "tcp", text: heading},
		{
			name: "listening and connected", network: "tcp", text: heading +
				"   0: 00000000:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65532        0 4711 1 0000000000000000 100 0 0 10 0\n" +
				"   1: 0100007F:238B 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65532        0 4712 1 0000000000000000 100 0 0 10 0\n" +
				"   2: 0100007F:238B 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0\n",
			want: []Socket{
				{netip.MustParseAddrPort("0.0.0.0:8888"), "4711"},
				{netip.MustParseAddrPort("127.0.0.1:9099"), "4712"},
			},
		},
		{
			name: "IPv6", network: "tcp6", text: heading +
				"   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1\n" +
				"   1: B80D01200000000000000000010000FF:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 98 1\n",
			want: []Socket{
				{netip.MustParseAddrPort("[::1]:8080"), "99"},
				{netip.MustParseAddrPort("[2001:db8::ff00:1]:80"), "98"},
			},
		},
		{
			name: "UDP", network: "udp", text: heading +
				" 1: 0B00007F:A1B2 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 7 2 0000000000000000 0\n",
			want: []Socket{{netip.MustParseAddrPort("127.0.0.11:41394"), "7"}},
		},
		{name: "cut line", network: "tcp", text: heading + "   0: 00000000:22B8 0000", fails: true},
		{name: "no address", network: "tcp", text: heading + "   0: zz:22B8 0:0 0A 0 0 0 0 0 1\n", fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(tt.text), tt.network)
			if (err != nil) != tt.fails {
				t.Fatalf("error %v, want one: %v", err, tt.fails)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(heading+"   0: 00000000:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65532 0 4711 1\n", "tcp")
	f.Add(heading+"   0: 00000000000000000000000001000000:1F90 0:0 07 0 0 0 0 0 99 1\n", "udp6")
	f.Fuzz(func(t *testing.T, text, network string) {
		socks, err := Parse(strings.NewReader(text), network)
		if err == nil && len(socks) > strings.Count(text, "\n")+1 {
			t.Errorf("%d sockets out of %q", len(socks), text)
		}
		for _, s := range socks {
			if !s.Addr.IsValid() {
				t.Errorf("an invalid address out of %q", text)
			}
		}
	})
}
