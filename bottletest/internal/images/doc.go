// Package images knows what a user may name as a guest's image, what each name means today, and how smolvm gets at it.
//
// smolvm packs registry references and nothing else (`pack create` up to v1.9.3; #890), so an image archive is served to it by a
// registry in this process, on this host's loopback, for as long as it pulls.
package images
