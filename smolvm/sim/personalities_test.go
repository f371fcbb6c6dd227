//go:build linux

package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The golden is a table: a row for each feature, a column for each release that may be asked for.
func TestPersonalities(t *testing.T) {
	var b strings.Builder
	row := func(name string, value func(features) string) {
		line := fmt.Sprintf("%-20s", name)
		for _, r := range simulated {
			f, err := personality(r)
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprintf(" %-8s", value(f))
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[features]()) {
		if field.Anonymous {
			continue
		}
		row(field.Name, func(f features) string {
			v := reflect.ValueOf(f).FieldByIndex(field.Index)
			if v.Kind() == reflect.Bool {
				return map[bool]string{true: "yes", false: "-"}[v.Bool()]
			}
			return fmt.Sprint(v.Interface())
		})
	}
	golden(t, "personalities.golden", b.String())
}

// surface is all in which a release differs from another: its features, commands, options and JSON fields.
func surface(f features) string {
	var b strings.Builder
	for _, c := range subcommands(f) {
		fmt.Fprintf(&b, "%v %v\n", c.names, c.grammar.usage())
		for _, o := range c.grammar.options {
			fmt.Fprintf(&b, "  -%c %s\n", o.short, o.shown())
		}
	}
	for _, fl := range machineFields {
		if f.Release.atLeast(fl.since) {
			fmt.Fprintln(&b, fl.key)
		}
	}
	f.Release = release{}
	fmt.Fprintf(&b, "%+v\n", f)
	return b.String()
}

func TestAdjacentPersonalitiesDiffer(t *testing.T) {
	if !slices.IsSortedFunc(simulated, func(a, b string) int {
		return slices.Compare(releaseOf(t, a), releaseOf(t, b))
	}) {
		t.Error("the releases are not in order")
	}
	for i, name := range simulated[1:] {
		before := surface(atRelease(t, simulated[i]))
		if surface(atRelease(t, name)) == before {
			t.Errorf("%s is %s under another name", name, simulated[i])
		}
	}
}

func releaseOf(t *testing.T, s string) []int {
	t.Helper()
	r, err := parseRelease(s)
	if err != nil {
		t.Fatal(err)
	}
	return r[:]
}
