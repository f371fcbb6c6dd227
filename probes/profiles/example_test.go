package profiles_test

import (
	"fmt"
	"net/netip"
	"time"

	"bottle.internal/internal/echo"
	"bottle.internal/probes"
	"bottle.internal/probes/profiles"
)

// A leak that this release of smolvm is known for is exposed: named, with who answers for it and until when, and not red.
func ExampleProfile_Apply() {
	report := probes.Report{ // as probes.Run returns it
		Engine: "smolvm", Version: "0.8.0",
		Findings: []probes.Finding{{
			ID: "net.tcp.resolver.other-port", Severity: probes.High, Expect: probes.Contain, Verdict: probes.Leak, Reason: "1.1.1.1:443 saw the nonce",
			Attempts: []probes.Attempt{{
				Target: "resolver", Address: netip.MustParseAddrPort("1.1.1.1:443"), Round: 1, Observation: probes.Reachable, Proved: true, Sightings: make([]echo.Sighting, 1),
			}},
		}},
	}
	profile := profiles.For(report.Version)
	report, notices := profile.Apply(report, time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC))
	fmt.Println(report.Profile, report.Worst(), report.ExitCode())
	fmt.Println(report.Findings[0].Waivers[0].Reason)
	fmt.Println(notices[0].Kind, notices[0].Waiver.ID) // that probe did not run
	// Output:
	// smolvm-0.8.0 exposed 0
	// smolvm 0.8.0 adds 1.1.1.1/32 to every allowlist, unasked and unprinted, and a /32 is every port by TCP and UDP.
	// untried net.dns.system.exfil
}
