//go:build linux

package sim

import (
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"strings"
)

// defaultName is the machine of a command without a name.
const defaultName = "default"

// checkName applies src/data/mod.rs: 1 to 128 bytes, first an ASCII letter or digit, then those, "-" and "_"; no "--", no
// trailing "-".
func checkName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "machine name cannot be empty"
	case len(name) > 128:
		why = "machine name too long: maximum is 128 characters"
	case !alphanumeric(rune(name[0])):
		why = "machine name must start with a letter or digit"
	case strings.ContainsFunc(name, func(r rune) bool { return !alphanumeric(r) && r != '-' && r != '_' }):
		why = "machine name can only contain letters, digits, hyphens and underscores"
	case strings.Contains(name, "--"):
		why = "machine name cannot contain consecutive hyphens"
	case strings.HasSuffix(name, "-"):
		why = "machine name cannot end with a hyphen"
	default:
		return nil
	}
	return configError("validate machine name", "%s: '%s'", why, name)
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// ephemeralPrefix begins the names that are made up.
const ephemeralPrefix = "vm-"

func randomName() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand ends the process instead
	return ephemeralPrefix + hex.EncodeToString(b[:])
}

// parseCIDR reads what --allow-cidr takes: a prefix, whose host bits are kept, or a bare address.
func parseCIDR(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, configError("parse CIDR", "invalid CIDR '%s'", s)
	}
	return p, nil
}

// environment keeps the KEY=VALUE specs smolvm keeps: one without "=" or with an empty key is dropped without a word
// (src/util.rs).
func environment(specs []string) []string {
	var out []string
	for _, s := range specs {
		if i := strings.IndexByte(s, '='); i > 0 {
			out = append(out, s)
		}
	}
	return out
}

// maxEnvValue is the agent's limit on one variable's value, in bytes.
const maxEnvValue = 32 << 10

// checkEnvironment refuses what the agent refuses at exec.
func checkEnvironment(env []string) error {
	for _, kv := range env {
		key, value, _ := strings.Cut(kv, "=")
		valid := key[0] < '0' || key[0] > '9'
		for _, r := range key {
			valid = valid && (alphanumeric(r) || r == '_')
		}
		if !valid {
			return agentError("vm exec", "invalid environment variable name: '%s'", key)
		}
		if len(value) > maxEnvValue {
			return agentError("vm exec", "environment variable '%s' is too long: %d bytes (maximum %d)", key, len(value), maxEnvValue)
		}
	}
	return nil
}

func labels(g grammar, specs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range specs {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, g.invalid("label", s, "expected KEY=VALUE")
		}
		out[key] = value
	}
	return out, nil
}
