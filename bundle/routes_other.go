//go:build !linux

package bundle

// hostRoutes is empty where the engine runs in a VM: its bridges are not this host's routes.
func hostRoutes() ([]occupied, error) { return nil, nil }
