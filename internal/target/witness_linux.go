package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// fallbacks are the devices that the kernel puts into every network namespace once their module is loaded. They are down.
var fallbacks = []string{"tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0"}

// A witness is this host's kernel, asked where the agent runs. It knows the agent by the mark in the path that it was run by, and sees it
// where the sandbox is made of this kernel's processes and /proc shows them. Safe for concurrent use.
type witness struct {
	mark string

	mu   sync.Mutex
	seen map[string]string // what is to be said of a process, by its pid and network namespace
	bad  map[string]string // the same of those that have a network
	host bool              // one of them was in this host's own
}

// watch looks until do has returned.
func (w *witness) watch(do func()) {
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			w.look()
			select {
			case <-stop:
				return
			case <-time.After(glancePause):
			}
		}
	})
	do()
	close(stop)
	watching.Wait()
}

func (w *witness) look() {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone, or not ours to see
		}
		if first, _, _ := strings.Cut(string(b), "\x00"); strings.Contains(first, w.mark) {
			w.note(filepath.Dir(path))
		}
	}
}

// note writes down which interfaces the process at dir has, as its kernel tells this host.
func (w *witness) note(dir string) {
	namespace, err := os.Readlink(dir + "/ns/net")
	own, ownErr := os.Readlink("/proc/self/ns/net")
	devices, devErr := os.ReadFile(dir + "/net/dev")
	if err != nil || ownErr != nil || devErr != nil {
		return
	}
	pid := filepath.Base(dir)
	names := slices.DeleteFunc(interfaces(string(devices)), func(n string) bool { return n == "lo" || slices.Contains(fallbacks, n) })
	w.mu.Lock()
	defer w.mu.Unlock()
	switch key := pid + namespace; {
	case namespace == own:
		w.host = true
		w.bad[key] = fmt.Sprintf("process %s of the agent is in this host's own network namespace", pid)
	case len(names) > 0:
		w.bad[key] = fmt.Sprintf("process %s of the agent has the interfaces %s", pid, strings.Join(names, ", "))
	default:
		w.seen[key] = fmt.Sprintf("this host's kernel has process %s of the agent in %s, with no interface but its loopback", pid, namespace)
	}
}

// interfaces are the names in a /proc/net/dev, but for what the agent makes for net.raw.tun and takes away: one of that name that nothing
// has ever passed.
func interfaces(devices string) []string {
	var names []string
	for line := range strings.Lines(devices) {
		name, counts, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if passing := agentsOwn.MatchString(name) && unused(counts); ok && !passing {
			names = append(names, name)
		}
	}
	return names
}

// agentsOwn is what the kernel makes of the agent's "bottle%d".
var agentsOwn = regexp.MustCompile(`^bottle[0-9]+$`)

// unused reports whether all counters of an interface are at nought, and there are some.
func unused(counts string) bool {
	all := strings.Fields(counts)
	return len(all) > 0 && !slices.ContainsFunc(all, func(n string) bool { return n != "0" })
}

// testify is what was seen, or why that shows nothing.
func (w *witness) testify(context.Context) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.bad {
		return "", errors.New(text)
	}
	for _, text := range w.seen {
		return text, nil
	}
	return "", errors.New("the agent is not among the processes that this host's /proc shows")
}

// network is whose network the agent was seen to use if it is not one of its own, "" if it is.
func (w *witness) network() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.host:
		return "this host's own network"
	case len(w.seen)+len(w.bad) == 0:
		return "a network that this host cannot look into"
	}
	return ""
}
