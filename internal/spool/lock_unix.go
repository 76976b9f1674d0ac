//go:build unix

package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/stemma-dev/stemma"
)

// lock is held while a record is appended or the spool is purged. It guards
// the end of the segments and the usage file, between processes too, and ends
// with its process. The error is ErrNotFound where there is no spool yet.
func (s *Spool) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock spool: %v: %w", err, kindOf(err))
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock spool: %v: %w", err, stemma.ErrUnavailable)
	}
	return func() { f.Close() }, nil
}
