package target

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"bottle.internal/probes"
)

// What a container is declared to have is what its engine says: with the network of each published port, and every network it is on.
func TestDeclaredByTheEngine(t *testing.T) {
	at := netip.MustParseAddr("127.0.0.1")
	c := &boxed{in: container.InspectResponse{
		HostConfig: &container.HostConfig{NetworkMode: "none"},
		NetworkSettings: &container.NetworkSettings{
			Ports:    network.PortMap{network.MustParsePort("53/udp"): {{HostIP: at, HostPort: "5353"}}, network.MustParsePort("80/tcp"): {{HostIP: at, HostPort: "8080"}}},
			Networks: map[string]*network.EndpointSettings{"later": {}, "none": {}},
		},
	}}
	published := c.declared().Published
	slices.SortFunc(published, func(a, b probes.Published) int { return int(a.Guest) - int(b.Guest) })
	want := []probes.Published{
		{Host: netip.AddrPortFrom(at, 5353), Guest: 53, Network: "udp"}, {Host: netip.AddrPortFrom(at, 8080), Guest: 80, Network: "tcp"},
	}
	if !slices.Equal(published, want) {
		t.Errorf("published %+v, want %+v", published, want)
	}
	if got, want := c.networks(), []string{"network mode none", "on network later"}; !slices.Equal(got, want) {
		t.Errorf("networks %q, want %q", got, want)
	}
}
