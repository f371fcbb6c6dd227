//go:build linux

package sim

import "strings"

// runOpenAPI prints the paths of the API; of the schemas smolvm's specification has, none.
func runOpenAPI(s *session, _ grammar, _ arguments) (int, error) {
	paths := map[string]map[string]any{}
	for _, r := range new(api).routes() {
		if paths[r.path] == nil {
			paths[r.path] = map[string]any{}
		}
		paths[r.path][strings.ToLower(r.method)] = map[string]any{
			"summary":   r.about,
			"responses": map[string]any{"200": map[string]string{"description": "OK"}},
		}
	}
	return 0, s.sayJSON(map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]string{"title": "smolvm API", "version": s.Release.String(), "description": simulatorNotice},
		"paths":   paths,
	})
}
