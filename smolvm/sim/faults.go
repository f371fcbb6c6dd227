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

	faultStartHangs     fault = "start-hangs"      // the guest never becomes ready
	faultStartFails     fault = "start-fails"      // the boot process dies
	faultExecHangs      fault = "exec-hangs"       // the agent takes a command and does nothing
	faultSharedConfig   fault = "exec-config-race" // below 1.4.1 a container's command waits for another that overwrites its config.json
	faultCopyTruncates  fault = "cp-truncates"     // half of a copied file arrives, and cp succeeds
	faultListGarbage    fault = "ls-garbage"       // ls --json breaks off in the middle and succeeds
	faultDeleteLeavesVM fault = "delete-leaves-vm" // stop and delete end no process and say they did
	faultHostMount      fault = "host-mount"       // the host's root is at /mnt, read-only
	faultEnvironment    fault = "env-leak"         // commands have the environment of start
	faultHostname       fault = "hostname-leak"    // the guest's host name is the host's

	faultUDPUnfiltered        fault = "udp-unfiltered"         // the policy is not applied to UDP
	faultIPv6Unfiltered       fault = "ipv6-unfiltered"        // the policy is not applied to IPv6
	faultResolverOpen         fault = "resolver-open"          // --allow-host filters no names
	faultPublishAllInterfaces fault = "publish-all-interfaces" // published ports are bound at every address of the host
	faultPublishUnasked       fault = "publish-unasked"        // every port that the guest listens on is bound on the host (tsi)
	faultGatewayOpen          fault = "gateway-open"           // the policy is not asked about the gateway, which is the host's loopback
	faultMetadataOpen         fault = "metadata-open"          // neither policy nor floor is asked about link-local addresses
	faultTranslationOpen      fault = "translation-open"       // nor about 64:ff9b::/96 (NAT64)
	faultPort53Open           fault = "port53-open"            // nor about port 53
	faultPort443Open          fault = "port443-open"           // nor about port 443
	faultLoopbackShared       fault = "loopback-shared"        // a guest's loopback is the host's, and so every other guest's (tsi)
	faultPoliciesShared       fault = "policies-shared"        // a machine may reach what any other machine of its user may
	faultEmptyOpen            fault = "empty-allowlist-open"   // an allowlist without an entry is none
	faultOtherBackend         fault = "other-backend"          // a policy is carried by tsi, whatever the release says
	faultFailOpen             fault = "fail-open"              // while what is allowed answers nothing, the policy is not in force (virtio-net)
	faultPolicyLost           fault = "policy-lost"            // a machine that was started before starts without its policy
	faultPolicyLate           fault = "policy-late"            // the policy is in force two seconds after the start and not before (virtio-net)
	faultPolicyLapses         fault = "policy-lapses"          // some seconds after it has stopped a number of flows the policy stops none (virtio-net)
	faultFloodOpen            fault = "flood-open"             // a policy that has stopped a great many flows in a second stops no more in it (virtio-net)
	faultPackForgets          fault = "pack-forgets"           // a machine from a pack has its policy on record, and none is enforced
	faultDeleteLeavesData     fault = "delete-leaves-data"     // delete forgets the machine and leaves its directory
	faultAuditOnly            fault = "audit-only"             // denials are logged and let through (virtio-net)
	faultPrefixWide           fault = "prefix-wide"            // an IPv4 prefix of the policy is taken one bit shorter than it is
	faultMaskHoles            fault = "mask-holes"             // the last bits of an IPv4 address's second and third byte are not compared
)

// allFaults are what may be asked for, in the order in which they are listed.
var allFaults = []fault{
	faultAllowlistIgnored, faultExec137Once, faultNoNetwork,
	faultStartHangs, faultStartFails, faultExecHangs, faultSharedConfig, faultCopyTruncates, faultListGarbage, faultDeleteLeavesVM,
	faultHostMount, faultEnvironment, faultHostname,
	faultUDPUnfiltered, faultIPv6Unfiltered, faultResolverOpen, faultPublishAllInterfaces,
	faultPublishUnasked, faultGatewayOpen, faultMetadataOpen, faultTranslationOpen, faultPort53Open, faultPort443Open, faultAuditOnly,
	faultLoopbackShared, faultPoliciesShared, faultEmptyOpen, faultOtherBackend, faultFailOpen, faultPolicyLost, faultPolicyLate,
	faultPolicyLapses, faultFloodOpen, faultPackForgets, faultDeleteLeavesData,
	faultPrefixWide, faultMaskHoles,
}

func knownFaults() []string {
	var out []string
	for _, f := range allFaults {
		out = append(out, string(f))
	}
	return out
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
