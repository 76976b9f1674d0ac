//go:build linux || darwin

package spool

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// statIn gives the stat of an entry of an open folder, by its name there: the
// system need not walk the path again for each file of a large tree.
func statIn(dir *os.File, e fs.DirEntry) (stat, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return stat{}, err
	}
	return stat{Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano()}, nil
}
