package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// matching gives the paths of the files below a folder that match a pattern of
// [fs.Glob]. The folder's own path is no part of the pattern: a bracket in it is a
// bracket. Of a folder that can not be listed matching gives the error, so that no
// key in it is taken for one that is not there.
func matching(dir, pattern string) ([]string, error) {
	below := &listing{FS: os.DirFS(dir)}
	names, err := fs.Glob(below, pattern)
	if err == nil {
		err = below.failed
	}
	if err != nil {
		return nil, kind(err)
	}
	for i, name := range names {
		names[i] = filepath.Join(dir, filepath.FromSlash(name))
	}
	return names, nil
}

// listing remembers that a folder could not be listed, which fs.Glob does not tell.
type listing struct {
	fs.FS
	failed error
}

// ReadDir implements fs.ReadDirFS.
func (l *listing) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(l.FS, name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return entries, err
	}
	if st, serr := fs.Stat(l.FS, name); serr == nil && !st.IsDir() {
		return nil, err // a file, which has nothing below it
	}
	l.failed = errors.Join(l.failed, err)
	return nil, err
}
