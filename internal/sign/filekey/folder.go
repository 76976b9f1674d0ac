package filekey

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"

	"github.com/stemma-dev/stemma"
)

// makeFolder makes the folder of keys. A .gitignore in it keeps a repository
// that somebody made of a home folder from taking the keys in.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return denied("make", dir, err)
	}
	if err := private(dir, true); err != nil {
		return err
	}
	ignore := filepath.Join(dir, ".gitignore")
	if _, err := os.Lstat(ignore); errors.Is(err, fs.ErrNotExist) {
		return writeFile(ignore, []byte("*\n"))
	}
	return nil
}

// private needs a file or folder to be the user's own: no link, and closed to
// everybody else. Windows says nothing of that in a mode.
func private(path string, folder bool) error {
	st, err := os.Lstat(path)
	if err != nil {
		return denied("read", path, err)
	}
	switch {
	case folder && !st.IsDir():
		return fmt.Errorf("%s is no folder: %w", path, stemma.ErrDenied)
	case !folder && !st.Mode().IsRegular():
		return fmt.Errorf("%s is no file: %w", path, stemma.ErrDenied)
	case runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s can be read or changed by others (mode %#o); chmod go-rwx, and rotate the key if somebody could have read it: %w", path, st.Mode().Perm(), stemma.ErrDenied)
	}
	return nil
}

// writeFile puts a file in place, whole and durable.
func writeFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return denied("write", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %v: %w", path, reason(err), stemma.ErrUnavailable)
	}
	return syncFolder(dir)
}

// syncFolder makes the names in a folder durable, where the system can.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return denied("open", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %v: %w", dir, reason(err), stemma.ErrUnavailable)
	}
	return nil
}

// lock keeps others from making a key at the same time.
func lock(dir string) (func(), error) {
	l := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	if err := l.Lock(); err != nil {
		return nil, fmt.Errorf("lock %s: %v: %w", dir, err, stemma.ErrUnavailable)
	}
	return func() { l.Unlock() }, nil
}

// tryLock is lock where nobody has it; else it gives nil.
func tryLock(dir string) (func(), error) {
	l := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %v: %w", dir, err, stemma.ErrUnavailable)
	}
	if !ok {
		return nil, nil
	}
	return func() { l.Unlock() }, nil
}

func denied(what, path string, err error) error {
	return fmt.Errorf("%s %s: %v: %w", what, path, reason(err), stemma.ErrDenied)
}

func damaged(path, why string) error {
	return fmt.Errorf("key file %s is damaged: %s: %w", path, why, stemma.ErrInvalid)
}

// reason is what the system said, without the path that the caller names.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
