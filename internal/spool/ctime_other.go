//go:build !linux && !darwin

package spool

import "io/fs"

// ctime is 0: what this system has is not asked for.
func ctime(fs.FileInfo) int64 { return 0 }
