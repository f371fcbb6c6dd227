//go:build bottle_release

package gobuild

import (
	"embed"
	"io/fs"
)

//go:embed carried
var packed embed.FS

// carried is what Pack wrote.
var carried fs.FS = directory(packed)

// directory is the one that is embedded.
func directory(all embed.FS) fs.FS {
	sub, err := fs.Sub(all, "carried")
	if err != nil {
		panic(err) // the name above is no path
	}
	return sub
}
