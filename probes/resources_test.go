package probes

import "testing"

// A number is a bound only if it is less than what there is, or no more than what is declared.
func TestStrayBounds(t *testing.T) {
	const gib = 1 << 30
	host := hostSize{memory: 4 * gib, cpus: 4}
	box, vm := func(d Declared) Site { return Site{Declared: d} }, func(d Declared) Site { d.Boundary = VM; return Site{Declared: d} }
	for _, c := range []struct {
		site  Site
		reply string
		stray bool
	}{
		{box(Declared{}), "memory.max 1073741824\nmem_total 4294967296\n", false},
		{box(Declared{}), "memory.max max\nmem_total 4294967296\n", true},
		{box(Declared{}), "memory.max 9223372036854771712\nmem_total 4294967296\n", true},
		{box(Declared{}), "memory.max 4294967296\nmem_total 4294967296\n", true},
		{box(Declared{MemoryMiB: 512}), "memory.max 536870912\nmem_total 4294967296\n", false},
		{box(Declared{MemoryMiB: 512}), "memory.max 1073741824\nmem_total 4294967296\n", true},
		{vm(Declared{MemoryMiB: 512}), "memory.max 1048576\nmem_total 1073741824\n", true},
		{vm(Declared{MemoryMiB: 1024}), "memory.max max\nmem_total 1073741824\n", false},
		{vm(Declared{}), "memory.max 1048576\nmem_total 4294967296\n", true},
	} {
		if got := strayMemory(c.site, host, []byte(c.reply)); (got != "") != c.stray {
			t.Errorf("%+v %q: %q", c.site.Declared, c.reply, got)
		}
	}
	for _, c := range []struct {
		site  Site
		reply string
		stray bool
	}{
		{box(Declared{}), "cpu.max 50000 100000\ncpus 4\n", false},
		{box(Declared{}), "cpu.max max 100000\ncpus 4\n", true},
		{box(Declared{}), "cpu.max 6400000 100000\ncpus 4\n", true},
		{box(Declared{}), "cpu.max 400000 100000\ncpus 4\n", true},
		{box(Declared{}), "cpu.max max 100000\ncpus 2\n", false},
		{box(Declared{}), "cpu.max 100000 0\ncpus 4\n", true},
		{box(Declared{}), "cpu.max - -\ncpus 4\n", true},
		{box(Declared{CPUs: 1}), "cpu.max 6400000 100000\ncpus 4\n", true},
		{box(Declared{CPUs: 1}), "cpu.max 150000 100000\ncpus 4\n", false},
		{box(Declared{CPUs: 1}), "cpu.max 200000 100000\ncpus 4\n", true},
		{box(Declared{CPUs: 1}), "cpu.max 100000 100000\ncpus 4\n", false},
		{box(Declared{CPUs: 1}), "cpu.max 6400000 100000\ncpus 1\n", false},
		{vm(Declared{CPUs: 1}), "cpu.max 100000 100000\ncpus 2\n", true},
		{vm(Declared{}), "cpu.max max 100000\ncpus 4\n", false},
		{vm(Declared{}), "cpu.max max 100000\ncpus 5\n", true},
	} {
		if got := strayProcessors(c.site, host, []byte(c.reply)); (got != "") != c.stray {
			t.Errorf("%+v %q: %q", c.site.Declared, c.reply, got)
		}
	}
}
