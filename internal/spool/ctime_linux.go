package spool

import (
	"io/fs"
	"syscall"
)

// ctime is when a file's content or attributes changed last, in ns since 1970:
// no program can set it.
func ctime(st fs.FileInfo) int64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return s.Ctim.Nano()
	}
	return 0
}
