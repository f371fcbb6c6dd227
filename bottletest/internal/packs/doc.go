// Package packs is a cache of smolvm packs that all processes of a user share.
//
// An entry is a directory that appears whole, by a rename, and is never written again: whoever is killed while making one leaves
// nothing that another would take for a pack. Each entry has a lock outside of it. It is held exclusively by the one process that
// makes or removes the entry, and shared by everybody who has the pack in use.
//
// What a pack holds is none of this package's business: a caller says how one is made.
package packs
