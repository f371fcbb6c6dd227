package reports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// keyLetters are those of every key that a report has. Package encoding/json takes "Findings" for "findings", and the last of two that
// are the same: a second list of findings behind the first would be the one that counts.
const keyLetters = "abcdefghijklmnopqrstuvwxyz0123456789_"

// An object is the keys of a JSON object that is open; nil is an array.
type object map[string]bool

// checkKeys is an error if an object in b has a key twice, or one that is spelled otherwise than a report's are. b has one JSON value
// and nothing behind it.
func checkKeys(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var open []object
	isKey := false
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		inner := len(open) > 0 && open[len(open)-1] != nil
		switch {
		case t == json.Delim('{'):
			open, isKey = append(open, object{}), true
			continue
		case t == json.Delim('['):
			open = append(open, nil)
			isKey = false
			continue
		case t == json.Delim('}'), t == json.Delim(']'):
			open = open[:len(open)-1]
		case inner && isKey:
			if err := open[len(open)-1].add(t.(string)); err != nil { //nolint:forcetypeassert // a key is a string
				return err
			}
			isKey = false
			continue
		}
		isKey = len(open) > 0 && open[len(open)-1] != nil // what follows a value
	}
}

func (o object) add(key string) error {
	switch {
	case key == "" || strings.Trim(key, keyLetters) != "":
		return fmt.Errorf("%q is no key of a report's", key)
	case o[key]:
		return fmt.Errorf("the key %q occurs twice in one object", key)
	}
	o[key] = true
	return nil
}
