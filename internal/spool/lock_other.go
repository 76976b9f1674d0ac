//go:build !unix

package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stemma-dev/stemma"
)

// staleLock is the age at which a lock file was left by a process that died.
const staleLock = 10 * time.Second

// lock is held while a record is appended or the spool is purged: a file that
// only one process can make. The error is ErrNotFound where there is no spool
// yet.
func (s *Spool) lock() (unlock func(), err error) {
	path := filepath.Join(s.dir, "lock")
	for range 400 {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			f.Close()
			return func() { os.Remove(path) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("lock spool: %v: %w", err, kindOf(err))
		}
		if st, err := os.Stat(path); err == nil && time.Since(st.ModTime()) > staleLock {
			os.Remove(path)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, fmt.Errorf("lock spool: held by another process: %w", stemma.ErrUnavailable)
}
