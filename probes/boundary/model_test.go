package boundary

import (
	"net/netip"
	"testing"
)

func prefixes(all ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range all {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// models are policies of the engines that are known, and odd ones.
var models = map[string]Model{
	"0.8.0":      {Allow: prefixes("172.30.2.10/32"), Unasked: prefixes("1.1.1.1/32"), AnyPort: true},
	"1.9.3":      {Allow: prefixes("172.30.2.10/32"), Own: prefixes("127.0.0.0/8", "::1/128", "100.96.0.0/30"), MappedIsIPv4: true, AnyPort: true, AnswersDNS: true},
	"wide":       {Allow: prefixes("10.0.0.0/8", "192.0.2.128/25", "2001:db8::/32"), AnyPort: true},
	"single six": {Allow: prefixes("2001:db8::5/128")},
	"everything": {Allow: prefixes("0.0.0.0/0", "::/0"), AnyPort: true},
	"nothing":    {},
	"crowded":    {Allow: crowd(), AnyPort: true},
}

// crowd are more entries than there is room for the cases of.
func crowd() []netip.Prefix {
	var all []netip.Prefix
	for i := range 40 {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(6 * i), 7, 77}), 32))
	}
	return all
}

func TestPredict(t *testing.T) {
	for _, c := range []struct {
		model   string
		network Network
		addr    string
		port    uint16
		want    Prediction
	}{
		{"0.8.0", TCP, "172.30.2.10", 0, Allowed},
		{"0.8.0", UDP, "172.30.2.10", 54, Allowed},
		{"0.8.0", UDP, "172.30.2.10", 53, Unspecified},
		{"0.8.0", ICMP, "172.30.2.10", 0, Unspecified},
		{"0.8.0", TCP, "172.30.2.11", 0, Denied},
		{"0.8.0", TCP, "172.30.2.9", 443, Denied},
		{"0.8.0", TCP, "1.1.1.1", 53, Unspecified},
		{"0.8.0", TCP, "1.1.1.0", 53, Denied},
		{"0.8.0", TCP, "::ffff:172.30.2.10", 0, Unspecified},
		{"0.8.0", TCP, "::ffff:172.30.2.11", 0, Denied},
		{"0.8.0", TCP, "::ffff:1.1.1.1", 0, Unspecified},
		{"0.8.0", UDP, "8.8.8.8", 53, Denied},
		{"0.8.0", TCP, "127.0.0.1", 0, Denied},
		{"1.9.3", TCP, "::ffff:172.30.2.10", 0, Allowed},
		{"1.9.3", TCP, "::ffff:172.30.2.11", 0, Denied},
		{"1.9.3", TCP, "64:ff9b::ac1e:20a", 0, Denied},
		{"1.9.3", UDP, "8.8.8.8", 53, Unspecified},
		{"1.9.3", UDP, "8.8.8.8", 54, Denied},
		{"1.9.3", TCP, "8.8.8.8", 53, Denied},
		{"1.9.3", TCP, "127.0.0.1", 0, Unspecified},
		{"1.9.3", TCP, "::1", 0, Unspecified},
		{"1.9.3", TCP, "100.96.0.1", 0, Unspecified},
		{"1.9.3", TCP, "100.96.0.4", 0, Denied},
		{"wide", TCP, "10.255.255.255", 1, Allowed},
		{"wide", TCP, "11.0.0.0", 1, Denied},
		{"wide", TCP, "192.0.2.127", 0, Denied},
		{"wide", TCP, "2001:db8:ffff::", 0, Allowed},
		{"wide", TCP, "2001:db9::", 0, Denied},
		{"single six", TCP, "2001:db8::5", 0, Allowed},
		{"single six", TCP, "2001:db8::5", 80, Unspecified},
		{"single six", TCP, "2001:db8::4", 80, Denied},
		{"everything", TCP, "239.1.2.3", 0, Unspecified},
		{"everything", TCP, "fe80::1", 0, Unspecified},
		{"everything", TCP, "0.0.0.0", 0, Unspecified},
		{"everything", ICMP, "8.8.8.8", 0, Unspecified},
		{"nothing", ICMP, "8.8.8.8", 0, Denied},
	} {
		if got := models[c.model].Predict(Flow{c.network, netip.MustParseAddr(c.addr), c.port}); got != c.want {
			t.Errorf("%s: %s %s port %d: %s, want %s", c.model, c.network, c.addr, c.port, got, c.want)
		}
	}
	if got := (Model{}).Predict(Flow{Network: TCP}); got != Unspecified {
		t.Errorf("no address: %s", got)
	}
}

// What is allowed only grows with the allowlist, and what is said of an address goes by its number and not by its spelling on an engine
// that takes mapped addresses for IPv4.
func TestPredictGrowsWithTheList(t *testing.T) {
	for name, m := range models {
		for _, c := range Generate(m, 8080, 7) {
			wider := m
			wider.Allow = append(prefixes("172.16.0.0/12", "2000::/3"), m.Allow...)
			if before, after := m.Predict(c.Flow), wider.Predict(c.Flow); before == Allowed && after != Allowed {
				t.Errorf("%s: %s is %s, and with more allowed %s", name, c, before, after)
			}
			wider.MappedIsIPv4 = true
			if c.Addr.Is4() && c.Network != ICMP {
				spelled := Flow{c.Network, spellings[0].spell(c.Addr), c.Port}
				if a, b := wider.Predict(c.Flow), wider.Predict(spelled); a != b {
					t.Errorf("%s: %s is %s, and as %s %s", name, c, a, spelled.Addr, b)
				}
			}
		}
	}
}
