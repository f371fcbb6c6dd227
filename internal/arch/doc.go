// Package arch holds the shape of this module as tests: which package may import which and why not, how long files and functions
// get, what the top level may hold. A rule whose packages no longer exist fails, so the table cannot rot.
package arch
