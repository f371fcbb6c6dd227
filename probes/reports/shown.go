package reports

import (
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"bottle.internal/probes"
)

// shown is a copy of r in which every text can be seen for what it is: controls, line ends and marks that turn the direction of
// writing are spelled as in Go source. It goes over all fields by reflection, so that one added tomorrow is not forgotten.
func shown(r probes.Report) probes.Report {
	return visible(reflect.ValueOf(r)).Interface().(probes.Report)
}

// visible is a copy of v down to its last exported text.
func visible(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	switch v.Kind() {
	case reflect.String:
		c.SetString(printable(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			c.Set(reflect.New(v.Type().Elem()))
			c.Elem().Set(visible(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				c.Index(i).Set(visible(v.Index(i)))
			}
		}
	case reflect.Struct:
		visibleFields(c)
	}
	return c
}

// visibleFields makes the fields of the struct c visible, and the zone of an address, which is text too.
func visibleFields(c reflect.Value) {
	if a, ok := c.Interface().(netip.AddrPort); ok {
		c.Set(reflect.ValueOf(netip.AddrPortFrom(a.Addr().WithZone(printable(a.Addr().Zone())), a.Port())))
		return
	}
	for i := range c.NumField() {
		if f := c.Field(i); f.CanSet() {
			f.Set(visible(f))
		}
	}
}

// printable is s with everything spelled out that is not a letter, a mark, a number, a symbol or the plain space.
func printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return strings.ToValidUTF8(s, "\ufffd")
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }
