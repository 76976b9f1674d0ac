//go:build unix

package sqlite

import "syscall"

// mayRead gives the error that opening the file for reading would give.
func mayRead(path string) error { return syscall.Access(path, 4) }
