package probecli

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"bottle.internal/internal/gobuild"
	"bottle.internal/probes/mutants"
)

// A version says which bottle-probe this is.
type version struct {
	Version  string `json:"version"`          // "" is not known
	Released bool   `json:"released"`         // it carries agent and bundle, and builds nothing
	Commit   string `json:"commit,omitempty"` // "" is not known
	Kit      string `json:"kit,omitempty"`    // digest of probes and agent, "" is not known
	Kills    int    `json:"kills"`            // how many probes are on record to have told a mutant apart
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisVersion asks the release, or the sources, what they are. It needs neither.
func thisVersion(ctx context.Context) (version, error) {
	v := version{Commit: builtFrom(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	release, err := gobuild.Released()
	if err != nil {
		return v, err
	}
	if release != nil {
		v.Version, v.Commit, v.Released = release.Version, release.Commit, true
	}
	if v.Kit, err = gobuild.Kit(ctx); err != nil {
		return v, nil // it was built from sources that are not here
	}
	record, err := killRecord(v.Kit)
	v.Kills = len(record.Kills)
	return v, err
}

// builtFrom is the commit that the go command noted, "" if it noted none.
func builtFrom() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return ""
}

// killRecord is what is on record of kit; the zero Record if nothing is, or if there is no place for records.
func killRecord(kit string) (mutants.Record, error) {
	dir, err := gobuild.Kills()
	if err != nil {
		return mutants.Record{}, nil
	}
	return mutants.ReadRecord(dir, kit)
}

func (s *settings) printVersion(ctx context.Context) error {
	v, err := thisVersion(ctx)
	if err != nil {
		return err
	}
	if s.json() {
		return writeJSON(s.stdout, v)
	}
	_, err = fmt.Fprint(s.stdout, v)
	return err
}

// String is the version for people, with a line's end.
func (v version) String() string {
	origin := "built from source"
	if v.Released {
		origin = "released"
	}
	text := fmt.Sprintf("bottle-probe %s, %s", cmp.Or(v.Version, "(no version)"), origin)
	if v.Commit != "" {
		text += ", commit " + v.Commit
	}
	kit := "not known: its sources are not here"
	if v.Kit != "" {
		kit = fmt.Sprintf("%s, %d probes on record to have told a broken bottle apart (control C5)", v.Kit, v.Kills)
	}
	return fmt.Sprintf("%s\nkit %s\n%s %s\n", text, kit, v.Go, v.Platform)
}
