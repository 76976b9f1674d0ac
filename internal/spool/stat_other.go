//go:build !linux && !darwin

package spool

import (
	"io/fs"
	"os"
)

// statIn gives the stat of an entry of a folder, without a ctime: what this
// system has is not asked for.
func statIn(_ *os.File, e fs.DirEntry) (stat, error) {
	st, err := e.Info()
	if err != nil {
		return stat{}, err
	}
	return stat{Size: st.Size(), Mtime: st.ModTime().UnixNano()}, nil
}
