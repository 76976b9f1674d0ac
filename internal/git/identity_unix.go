//go:build unix

package git

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fileIdentity tells a file from one that was renamed over it, also when both
// were written within the same tick of the clock.
func fileIdentity(stat fs.FileInfo) string {
	if s, ok := stat.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(s.Dev, s.Ino)
	}
	return ""
}
