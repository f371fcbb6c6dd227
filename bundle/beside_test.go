package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"bottle.internal/internal/echo"
)

// What was seen is not known before the mark that was asked for after it is in the log, and the mark itself is no sighting.
func TestSightingsWaitForTheirMark(t *testing.T) {
	seen, mark := echo.NewNonce(), echo.NewNonce()
	line := func(n echo.Nonce) string {
		text, err := json.Marshal(echo.Sighting{Name: "egress", Network: "tcp", Nonce: n})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("[egress] %s\n", text)
	}
	logs := []string{"", line(seen), line(seen) + line(mark)}
	reads := 0
	got, err := beside(t.Context(), []echo.Nonce{mark}, nil, func(context.Context) ([]byte, error) {
		log := logs[min(reads, len(logs)-1)]
		reads++
		return []byte(log), nil
	})
	if err != nil || len(got) != 1 || got[0].Nonce != seen || reads != len(logs) {
		t.Errorf("%v, %v after %d reads; want the one nonce that is no mark after %d", got, err, reads, len(logs))
	}
}
