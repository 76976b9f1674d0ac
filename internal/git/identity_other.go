//go:build !unix

package git

import "io/fs"

// fileIdentity has nothing to add to size and time here.
func fileIdentity(fs.FileInfo) string { return "" }
