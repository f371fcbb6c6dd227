package bundle

import "os"

// hostRoutes knows what no interface's address tells: the far networks a VPN routes.
func hostRoutes() ([]occupied, error) {
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseRoutes(f)
}
