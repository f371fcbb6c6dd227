package reports_test

import (
	"fmt"
	"os"
	"strings"

	"bottle.internal/probes"
	"bottle.internal/probes/reports"
)

// What bottle-probe wrote as JSON becomes what CI reads.
func ExampleWriteJUnit() {
	written := `{"schema":2,"engine":"smolvm","version":"1.9.3","backend":"virtio-net","topology":"bridge","simulated":false,"policy_asked":[],"policy_effective":[],
		"started":"2026-01-02T03:04:05Z","elapsed_ms":40,"findings":[
		{"id":"net.tcp.loopback.v4","severity":"critical","expect":"contain","verdict":"leak","reason":"host saw the nonce of round 1"}]}`
	report, err := reports.Read(strings.NewReader(written))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := reports.WriteJUnit(os.Stdout, report); err != nil {
		fmt.Println(err)
	}
	// Output:
	// <?xml version="1.0" encoding="UTF-8"?>
	// <testsuites name="smolvm 1.9.3" tests="1" failures="1" errors="0" skipped="0" time="0.040">
	//   <testsuite name="smolvm 1.9.3" tests="1" failures="1" errors="0" skipped="0" time="0.040" timestamp="2026-01-02T03:04:05">
	//     <properties>
	//       <property name="engine" value="smolvm"></property>
	//       <property name="version" value="1.9.3"></property>
	//       <property name="backend" value="virtio-net"></property>
	//       <property name="topology" value="bridge"></property>
	//       <property name="simulated" value="false"></property>
	//       <property name="profile" value=""></property>
	//       <property name="worst" value="leak"></property>
	//       <property name="kit" value=""></property>
	//     </properties>
	//     <testcase name="net.tcp.loopback.v4" classname="net.tcp" time="0.000">
	//       <failure message="host saw the nonce of round 1" type="leak">net.tcp.loopback.v4: leak &#xA;  host saw the nonce of round 1</failure>
	//     </testcase>
	//   </testsuite>
	// </testsuites>
}

func ExampleRead() {
	_, err := reports.Read(strings.NewReader(fmt.Sprintf(`{"schema":%d}`, probes.Schema+1)))
	fmt.Println(err)
	// Output: reports: not a report: its schema is 3, and this version of the kit reads 2
}
