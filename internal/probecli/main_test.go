package probecli

import (
	"testing"

	"bottle.internal/smolvm/smolvmtest"
)

func TestMain(m *testing.M) { smolvmtest.Main(m) }
