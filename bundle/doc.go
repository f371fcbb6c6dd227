// Package bundle runs the sidecar container of a bottle: PID 1 with its daemons, on a network of its own, at a pinned address.
//
// It follows the form of testcontainers' modules: Run takes an image and options, the user's options last, and may return a
// container together with an error. What differs from a plain testcontainers container:
//
//   - The engine is found by Detect, with a deadline for each candidate, and one that was asked for by name and does not
//     answer is an error, never silently another one.
//   - The image is made from this module's own static binary and loaded without a builder or a registry (Image).
//   - The network has an explicit subnet that neither the engine nor the host uses (NewNetwork).
//   - Up means proven: every daemon that listens on the network has answered an echo with a proof only it can compute.
//   - No port is published, unless WithPublish asks for it, at one address. No capability, no writable root, no new privileges, not root.
//
// Everything carries labels that say whose it is, so that Sweep finds what a killed run left and nothing else.
package bundle
