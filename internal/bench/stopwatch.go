package main

import (
	"slices"
	"time"
)

// A stopwatch collects the durations of one kind of step.
type stopwatch []time.Duration

func (s *stopwatch) time(do func() error) error {
	begin := time.Now()
	err := do()
	*s = append(*s, time.Since(begin))
	return err
}

// over is the median of how much longer each step took than the one beside it in other: the two were taken by turns, and what the machine
// did meanwhile fell on both. It is 0 of nothing.
func (s stopwatch) over(other stopwatch) float64 {
	var all []float64
	for i := range min(len(s), len(other)) {
		all = append(all, float64(s[i])/float64(other[i]))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// median in milliseconds; 0 of nothing.
func (s stopwatch) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return float64(sorted[len(sorted)/2].Microseconds()) / 1000
}
