// Package files keeps the vault's encrypted objects in a folder, a file each.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/stemma-dev/stemma"
)

// Objects is a folder of objects. It implements vault.Objects.
type Objects struct{ dir string }

// Open gives the objects of a folder, which is made when it is needed.
func Open(dir string) *Objects { return &Objects{dir} }

// path gives the file of an object, and refuses names that would lead elsewhere.
func (o *Objects) path(name string) (string, error) {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '/' {
			return "", fmt.Errorf("object %q: no name of an object: %w", name, stemma.ErrInvalid)
		}
	}
	if name == "" || name[0] == '/' || strings.Contains(name, "//") {
		return "", fmt.Errorf("object %q: no name of an object: %w", name, stemma.ErrInvalid)
	}
	return filepath.Join(o.dir, filepath.FromSlash(name)), nil
}

// Put implements vault.Objects.
func (o *Objects) Put(_ context.Context, name string, data []byte) error {
	path, err := o.path(name)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := o.makeDir(dir); err != nil {
		return fmt.Errorf("object %s: %w", name, err)
	}
	f, err := os.CreateTemp(dir, ".put-*")
	if err != nil {
		return fmt.Errorf("object %s: %w", name, kind(err))
	}
	_, err = f.Write(data)
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
		os.Remove(f.Name())
		return fmt.Errorf("object %s: %w", name, kind(err))
	}
	return syncDir(dir)
}

// makeDir makes a folder below that of the objects, durably.
func (o *Objects) makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return kind(err)
	}
	for parent := filepath.Dir(dir); len(parent) >= len(o.dir); parent = filepath.Dir(parent) {
		if err := syncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return kind(err)
	}
	defer d.Close()
	// Some systems can not sync a folder, and need not.
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, fs.ErrPermission) {
		return kind(err)
	}
	return nil
}

// Get implements vault.Objects.
func (o *Objects) Get(_ context.Context, name string, limit int64) ([]byte, error) {
	path, err := o.path(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", name, kind(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", name, kind(err))
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("object %s: longer than %d bytes: %w", name, limit, stemma.ErrInvalid)
	}
	return data, nil
}

// Delete implements vault.Objects.
func (o *Objects) Delete(_ context.Context, prefix string) error {
	path, err := o.path(strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("delete objects %s: %w", prefix, kind(err))
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil // there was none
	}
	return syncDir(filepath.Dir(path))
}

// List implements vault.Objects.
func (o *Objects) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		start := o.dir
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			start = filepath.Join(o.dir, filepath.FromSlash(prefix[:i]))
		}
		err := filepath.WalkDir(start, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			rel, err := filepath.Rel(o.dir, path)
			if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".put-") {
				return err
			}
			if name := filepath.ToSlash(rel); strings.HasPrefix(name, prefix) && !yield(name, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield("", fmt.Errorf("list objects: %w", kind(err)))
		}
	}
}

// kind gives an error of the file system its kind.
func kind(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("not there: %w", stemma.ErrNotFound)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	}
	return fmt.Errorf("%v: %w", err, stemma.ErrUnavailable)
}
