//go:build !bottle_release

package gobuild

import "io/fs"

// carried is nothing: a binary that was built from sources finds them where it needs them.
var carried fs.FS
