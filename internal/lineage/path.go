package lineage

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/stemma-dev/stemma"
)

// PathMatcher gives the function that tells whether a path of the repository is
// what a user means by a name: the file itself, everything below a folder, or,
// where the name holds one of * ? [ {, what the pattern matches as a whole or
// below it: * and ? stop at a slash, ** does not. A file whose name holds such a
// character matches itself too. The error is of kind ErrInvalid for a pattern
// that is not closed.
func PathMatcher(name string) (func(path string) bool, error) {
	if name == "" || name == "." {
		return func(string) bool { return true }, nil
	}
	if !isPattern(name) {
		return func(path string) bool { return below(path, name) }, nil
	}
	pattern := strings.TrimSuffix(name, "/")
	if !doublestar.ValidatePattern(pattern) {
		return nil, fmt.Errorf("path %q: the pattern is not closed: %w", name, stemma.ErrInvalid)
	}
	return func(path string) bool {
		return below(path, name) || doublestar.MatchUnvalidated(pattern, path) || doublestar.MatchUnvalidated(pattern+"/**", path)
	}, nil
}

func isPattern(name string) bool { return strings.ContainsAny(name, "*?[{") }

// below reports whether a path is dir or lies below it.
func below(p, dir string) bool {
	dir = strings.TrimSuffix(dir, "/")
	return p == dir || strings.HasPrefix(p, dir+"/")
}
