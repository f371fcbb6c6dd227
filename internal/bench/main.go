// Command bench measures, in one run, what the simulator costs and what the fixture costs beside the same steps run one after
// the other with the raw command lines. It prints a table and ends with 1 if a budget is missed. Arguments name parts (simulator,
// images, launches, probing); without any it measures all of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"text/tabwriter"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// errBudget says that a figure is over its budget.
var errBudget = errors.New("over budget")

// A part is some figures that are measured together.
type part struct {
	name    string
	measure func(context.Context) ([]figure, error)
}

// parts are measured in this order.
var parts = []part{{"simulator", simulator}, {"images", images}, {"launches", launches}, {"probing", probing}}

// run measures the parts named, all if none is.
func run(ctx context.Context, names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("no part is called %q", name)
		}
	}
	fmt.Println("engine: smolvm-sim. These figures are the kit's and the simulator's, not a VM's.")
	var all []figure
	for _, p := range parts {
		if len(names) > 0 && !slices.Contains(names, p.name) {
			continue
		}
		figures, err := p.measure(ctx)
		if err != nil {
			return err
		}
		all = append(all, figures...)
	}
	return report(all)
}

// A figure is one measured number. A zero budget has none.
type figure struct {
	what   string
	value  float64
	unit   string
	budget float64
	how    string
}

func report(all []figure) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tMEASURED\tBUDGET\tHOW")
	var over []error
	for _, f := range all {
		budget := "-"
		if f.budget > 0 {
			budget = fmt.Sprintf("<= %g %s", f.budget, f.unit)
			if f.value > f.budget {
				over = append(over, fmt.Errorf("%w: %s: %.2f %s", errBudget, f.what, f.value, f.unit))
			}
		}
		fmt.Fprintf(w, "%s\t%.2f %s\t%s\t%s\n", f.what, f.value, f.unit, budget, f.how)
	}
	return errors.Join(append([]error{w.Flush()}, over...)...)
}
