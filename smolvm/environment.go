package smolvm

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// kept are the caller's variables that smolvm gets. Everything else stays out: some SMOLVM_* change the egress floor or supply a
// machine's name, and the VM inherits what `machine start` had. A name ending in _ stands for all that begin so.
var kept = []string{
	"HOME", "PATH", "TMPDIR", "USER", "LOGNAME", "LANG", "LC_", "XDG_",
	"SSL_CERT_FILE", "SSL_CERT_DIR", // a corporate root, for image pulls
	"DOCKER_CONFIG", // the credentials for them
}

// quiet keeps smolvm's log off the stderr that the guest's command shares with it; errors stay, and stay readable.
const quiet = "RUST_LOG=smolvm=error"

// environment is what a smolvm process runs with: kept, quiet, extra, Env, later ones replacing earlier ones.
func (c *Client) environment(extra []string) ([]string, error) {
	for _, kv := range c.Env {
		if key, _, ok := strings.Cut(kv, "="); !ok || key == "" || strings.ContainsRune(kv, 0) {
			return nil, fmt.Errorf("%w: Client.Env entry %q: want KEY=VALUE", ErrInvalid, kv)
		}
	}
	return merge(scrub(os.Environ()), []string{quiet}, extra, c.Env), nil
}

// scrub returns the variables of environ that smolvm may see.
func scrub(environ []string) []string {
	var out []string
	for _, kv := range environ {
		key, _, ok := strings.Cut(kv, "=")
		if ok && slices.ContainsFunc(kept, func(k string) bool {
			return key == k || strings.HasSuffix(k, "_") && strings.HasPrefix(key, k)
		}) {
			out = append(out, kv)
		}
	}
	return out
}

// merge joins lists of KEY=VALUE, one entry per key: the last one's value.
func merge(lists ...[]string) []string {
	var out []string
	at := map[string]int{}
	for _, kv := range slices.Concat(lists...) {
		key, _, _ := strings.Cut(kv, "=")
		if i, seen := at[key]; seen {
			out[i] = kv
			continue
		}
		at[key] = len(out)
		out = append(out, kv)
	}
	return out
}

// startEnv is what `machine start` needs so that the egress floor neither hides a private address that the policy allows nor
// depends on other variables. The VM inherits it, so it must be set there and nowhere else.
func startEnv(v Version, policy bool, o StartOptions) []string {
	var env []string
	if o.PublishAddr.IsValid() {
		env = append(env, "SMOLVM_PUBLISH_ADDR="+o.PublishAddr.String())
	}
	switch {
	case o.Unfloored:
		env = append(env, "SMOLVM_EGRESS_FLOOR=off")
	case v.has(floorVariable):
		env = append(env, "SMOLVM_EGRESS_FLOOR=metadata")
	case v.has(privateFloor) && policy, o.PublishAddr.IsValid():
		env = append(env, "SMOLVM_EGRESS_ALLOW_PRIVATE=1")
	}
	return env
}
