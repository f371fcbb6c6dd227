package agent

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestParcel(t *testing.T) {
	request := []byte(`{"schema":2}`)
	for name, c := range map[string]struct {
		file []byte
		want string
		err  string
	}{
		"a parcel":       {Parcel([]byte("\x7fELF…"), request), string(request), ""},
		"an empty one":   {Parcel([]byte("\x7fELF…"), nil), "", ""},
		"none":           {bytes.Repeat([]byte("\x7fELF"), 99), "", ""},
		"short":          {[]byte("x"), "", ""},
		"nothing":        {nil, "", ""},
		"beyond the end": {slices.Concat([]byte{0, 0, 0, 0, 0, 0, 0, 9}, []byte(parcelMark)), "", "9 bytes"},
		"without bound":  {slices.Concat(bytes.Repeat([]byte{0xff}, 8), []byte(parcelMark)), "", "18446744073709551615 bytes"},
	} {
		got, err := parcelIn(bytes.NewReader(c.file))
		if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
