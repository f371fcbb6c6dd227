package probes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bottle.internal/internal/echo"
)

// DecoyPrefix is what every planted text begins with. The guest is told the prefix, to search for; what follows it is random
// and the host's alone.
const DecoyPrefix = "bottle-decoy-"

// NewDecoyText is a fresh text to plant in the environment of whoever launches a sandbox, and to name in Site.Planted.
func NewDecoyText() string { return DecoyPrefix + string(echo.NewNonce()) }

// A decoy is a file on the host that a guest must not read. Its content is random: whoever has it has been there.
type decoy struct {
	path, content string
	post          *post
	forget        func() // takes back the note of it
}

// newDecoy plants a decoy in dir, which must be there. Everybody may read it, so that what keeps a guest from it is the
// sandbox and not the file's mode.
func newDecoy(dir string) (*decoy, error) {
	// The name is not one to search for: the guest is told it.
	d := &decoy{path: filepath.Join(dir, decoyName+string(echo.NewNonce())), content: NewDecoyText()}
	d.forget = NotePlanted(d.path)
	if err := os.WriteFile(d.path, []byte(d.content+"\n"), 0o600); err != nil {
		d.forget()
		return nil, fmt.Errorf("probes: a decoy in %q: %w", dir, err)
	}
	if err := os.Chmod(d.path, 0o644); err != nil { // whatever the umask
		_ = d.Close()
		return nil, fmt.Errorf("probes: a decoy in %q: %w", dir, err)
	}
	d.post = &post{Target: Target{Name: "decoy " + d.path, Alive: d.alive}}
	return d, nil
}

// alive reads the decoy as the host does.
func (d *decoy) alive(context.Context) error {
	b, err := os.ReadFile(d.path)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(b), d.content) {
		return fmt.Errorf("%q does not hold what was planted there", d.path)
	}
	return nil
}

// shows is whether the decoy's content came back.
func (d *decoy) shows() func([]byte) string {
	return contains("the content of the host's "+d.path+", which only the host knew, came out of the guest", d.content)
}

// Close removes the decoy.
func (d *decoy) Close() error {
	err := os.Remove(d.path)
	if err == nil {
		d.forget()
	}
	return err
}

// plant makes decoys in those of dirs that are there and take one, and takes them away with the run. It says why if it made
// none.
func (r *rig) plant(dirs ...string) ([]*decoy, absence) {
	var all []*decoy
	why := "no directory was named"
	for _, dir := range dirs {
		d, err := newDecoy(dir)
		if err != nil {
			why = err.Error()
			continue
		}
		r.undo = append(r.undo, d.Close)
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, absence{why: "no decoy could be planted on the host: " + why, unproven: true}
	}
	return all, absence{}
}

// socketPost is a unix canary at path for as long as the run lasts; "@" begins an abstract name. dir, if not "", is removed with it.
func (r *rig) socketPost(path, dir string) (*post, error) {
	c, err := NewUnixCanary("host "+path, path)
	if err != nil {
		return nil, err
	}
	r.undo = append(r.undo, c.Close)
	if dir != "" {
		forget := NotePlanted(dir)
		r.undo = append(r.undo, func() error {
			defer forget()
			return os.RemoveAll(dir)
		})
	}
	return &post{Target: c.Target(), strangersSince: func(_ netip.AddrPort, since time.Time) []Stranger { return c.Strangers(since) }}, nil
}

// write puts a nonce of the host's into the decoy, as the guest would.
func (d *decoy) write(context.Context) error {
	f, err := os.OpenFile(d.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, echo.NewNonce())
	return errors.Join(err, f.Close())
}

// written are the nonces that the decoy holds.
func (d *decoy) written(context.Context) ([]echo.Sighting, error) {
	b, err := os.ReadFile(d.path)
	if err != nil {
		return nil, err
	}
	var all []echo.Sighting
	for _, n := range nonces(b) {
		all = append(all, echo.Sighting{Name: d.path, Network: "file", Nonce: n, Peer: "who wrote", Local: d.path})
	}
	return all, nil
}
