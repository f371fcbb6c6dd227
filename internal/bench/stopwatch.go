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

// median in milliseconds; 0 of nothing.
func (s stopwatch) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return float64(sorted[len(sorted)/2].Microseconds()) / 1000
}
