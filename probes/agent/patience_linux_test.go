package agent

import "testing"

// A child's start is no part of its attempt's budget.
func TestPatienceWithAChild(t *testing.T) {
	a := Attempt{Network: UDP4, BudgetMS: 250}
	if have := a.patience(); have != a.Budget()+overrun {
		t.Errorf("%s", have)
	}
	if a.Method = OwnNetNS; a.patience() < a.Budget()+childStart {
		t.Errorf("%s for an attempt that a child makes", a.patience())
	}
}
