//go:build linux

package sim

import (
	"slices"
	"strings"
)

// A fault is a defect put in on purpose, so that a test kit can be seen to notice it.
type fault string

const (
	faultAllowlistIgnored fault = "allowlist-ignored" // the policy is accepted and not enforced
	faultExec137Once      fault = "exec-137-once"     // the first exec after each start dies with 137 and no output
	faultNoNetwork        fault = "no-network"        // --net is accepted and the guest has lo only
)

func knownFaults() []string {
	return []string{string(faultAllowlistIgnored), string(faultExec137Once), string(faultNoNetwork)}
}

type faults []fault

func (f faults) has(one fault) bool { return slices.Contains(f, one) }

// parseFaults reads SMOLVM_SIM_FAULTS, a comma list.
func parseFaults(list string) (faults, error) {
	var out faults
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if !slices.Contains(knownFaults(), name) {
			return nil, configError("SMOLVM_SIM_FAULTS", "unknown fault '%s' (known: %s)", name, strings.Join(knownFaults(), ", "))
		}
		out = append(out, fault(name))
	}
	return out, nil
}
