package smolvm

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// machineName is smolvm's rule (v0.8.0 src/data/mod.rs), but for the two that a regexp says badly.
var machineName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`)

func checkName(name string) error {
	if !machineName.MatchString(name) || strings.Contains(name, "--") || strings.HasSuffix(name, "-") {
		return fmt.Errorf("%w: machine name %q: want 1 to 128 letters, digits, '-' and '_', a letter or digit first, no '--', no '-' last", ErrInvalid, name)
	}
	return nil
}

// checkText refuses what cannot be an argument: NUL ends one, and smolvm takes no argv but UTF-8.
func checkText(what, s string) error {
	switch {
	case strings.ContainsRune(s, 0):
		return fmt.Errorf("%w: %s %q holds a NUL", ErrInvalid, what, s)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %s %q is not UTF-8", ErrInvalid, what, s)
	}
	return nil
}

// maxEnvValue is the agent's limit; it refuses the whole command for a longer one.
const maxEnvValue = 32 << 10

var envKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checkEnv holds guest variables to KEY=VALUE: smolvm drops one without '=' or with an empty key and says nothing
// (v0.8.0 src/util.rs).
func checkEnv(env []string) error {
	for _, kv := range env {
		key, value, ok := strings.Cut(kv, "=")
		switch {
		case !ok:
			return fmt.Errorf("%w: variable %q has no '='", ErrInvalid, kv)
		case !envKey.MatchString(key):
			return fmt.Errorf("%w: variable name %q: want letters, digits and '_', no digit first", ErrInvalid, key)
		case len(value) > maxEnvValue:
			return fmt.Errorf("%w: variable %q has %d bytes, more than %d", ErrInvalid, key, len(value), maxEnvValue)
		}
		if err := checkText("variable", kv); err != nil {
			return err
		}
	}
	return nil
}

// checkGuestPath wants an absolute path without "..", which the agent refuses, and without an empty last element.
func checkGuestPath(p string) error {
	if err := checkText("guest path", p); err != nil {
		return err
	}
	if !path.IsAbs(p) || slices.Contains(strings.Split(p, "/"), "..") {
		return fmt.Errorf("%w: guest path %q: want an absolute one without \"..\"", ErrInvalid, p)
	}
	return nil
}

func checkGuestFile(p string) error {
	if err := checkGuestPath(p); err != nil {
		return err
	}
	if last := path.Base(p); strings.HasSuffix(p, "/") || last == "." {
		return fmt.Errorf("%w: guest path %q names no file", ErrInvalid, p)
	}
	return nil
}

func checkArgv(argv []string) error {
	if len(argv) == 0 || argv[0] == "" {
		return fmt.Errorf("%w: command %q names no program", ErrInvalid, argv)
	}
	for _, a := range argv {
		if err := checkText("command argument", a); err != nil {
			return err
		}
	}
	return nil
}

// labelKey keeps a key apart from flags and from the '=' after it.
var labelKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)

func checkLabels(labels map[string]string) error {
	for k, v := range labels {
		if !labelKey.MatchString(k) {
			return fmt.Errorf("%w: label %q: want letters, digits, '.', '_', '/' and '-', a letter or digit first", ErrInvalid, k)
		}
		if err := checkText("label", v); err != nil {
			return err
		}
	}
	return nil
}
