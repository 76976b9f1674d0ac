package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
)

// Place is the repository that a path lies in.
type Place struct {
	Tree   string // absolute path of the top of the work tree
	GitDir string // of this work tree
	Common string // of the repository: shared by all of its work trees
}

// maxPointer is the size in bytes over which a .git file is no pointer.
const maxPointer = 64 << 10

// Find finds the repository whose work tree a path lies in, without git: it
// looks for .git upwards, as git does (gitrepository-layout(5)). The path need
// not exist. The error is ErrNotFound where there is none.
func Find(path string) (Place, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Place{}, fmt.Errorf("find repository: %v: %w", err, stemma.ErrInvalid)
	}
	path = real(path)
	for dir := path; ; dir = filepath.Dir(dir) {
		if p, ok := placeAt(dir); ok {
			return p, nil
		}
		if filepath.Dir(dir) == dir {
			return Place{}, fmt.Errorf("repository of %s: %w", path, stemma.ErrNotFound)
		}
	}
}

// real is the path without links, as far as it exists.
func real(path string) string {
	rest := ""
	for dir := path; ; dir = filepath.Dir(dir) {
		if resolved, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(resolved, rest)
		}
		if filepath.Dir(dir) == dir {
			return path
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

// placeAt reports whether dir is the top of a work tree.
func placeAt(dir string) (Place, bool) {
	git := filepath.Join(dir, ".git")
	st, err := os.Stat(git)
	if err != nil {
		return Place{}, false
	}
	if !st.IsDir() {
		git, err = pointer(git, "gitdir: ")
		if err != nil {
			return Place{}, false
		}
	}
	if _, err := os.Stat(filepath.Join(git, "HEAD")); err != nil {
		// A reftable repository has a HEAD too; without one git sees none.
		return Place{}, false
	}
	common, err := pointer(filepath.Join(git, "commondir"), "")
	if err != nil {
		common = git
	}
	return Place{Tree: dir, GitDir: git, Common: real(common)}, true
}

// pointer reads a file that holds a path, which may be relative to its folder.
func pointer(file, prefix string) (string, error) {
	st, err := os.Stat(file)
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxPointer {
		return "", stemma.ErrNotFound
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", stemma.ErrNotFound
	}
	to, ok := strings.CutPrefix(strings.TrimRight(string(text), "\r\n"), prefix)
	if !ok || to == "" {
		return "", stemma.ErrInvalid
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(file), to)
	}
	return filepath.Clean(to), nil
}

// Within gives the path below the top of the work tree, with slashes, and false
// where it lies outside. Links on the way are followed, one at its end is not: it is
// the link that was edited.
func (p Place) Within(path string) (string, bool) {
	path = filepath.Join(real(filepath.Dir(path)), filepath.Base(path))
	rel, err := filepath.Rel(p.Tree, path)
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	rel = filepath.ToSlash(rel)
	if rel == ".git" || strings.HasPrefix(rel, ".git/") {
		return "", false
	}
	return rel, true
}

// Home is the folder that the spools of all repositories of this user are in:
// spool below STEMMA_DIR, or below stemma in the user's state directory.
func Home() (string, error) {
	if dir := os.Getenv("STEMMA_DIR"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("STEMMA_DIR: %v: %w", err, stemma.ErrInvalid)
		}
		return filepath.Join(abs, "spool"), nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "stemma", "spool"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("spool: %v: %w", err, stemma.ErrUnavailable)
	}
	return filepath.Join(home, ".local", "state", "stemma", "spool"), nil
}

// Folder is the folder of a repository's spool below [Home]. Work trees of one
// repository share it.
func (p Place) Folder() string {
	sum := sha256.Sum256([]byte(p.Common))
	return hex.EncodeToString(sum[:12])
}

// Elsewhere is the folder below [Home] for events outside of any repository.
const Elsewhere = "elsewhere"

// pauseFile stops capture while it exists: in Home for everything, in the
// folder of a repository for that.
const pauseFile = "paused"

// Paused reports whether capture is stopped for the repository, or for all
// where folder is "".
func Paused(home, folder string) bool {
	for _, dir := range []string{home, filepath.Join(home, folder)} {
		if _, err := os.Lstat(filepath.Join(dir, pauseFile)); err == nil {
			return true
		}
	}
	return false
}

// Pause stops capture for the repository, or everywhere where folder is "".
// Pausing twice is no error.
func Pause(home, folder string) error {
	dir := filepath.Join(home, folder)
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, pauseFile), nil, 0o600)
	}
	if err != nil {
		return fmt.Errorf("pause: %v: %w", err, kindOf(err))
	}
	return nil
}

// Resume undoes [Pause], and remembers from when until when it held. Resuming
// what is not paused is no error.
func Resume(home, folder string) error {
	path := filepath.Join(home, folder, pauseFile)
	st, err := os.Lstat(path)
	if err == nil {
		if err = rememberPause(filepath.Join(home, folder), Interval{st.ModTime(), time.Now()}); err == nil {
			err = os.Remove(path)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("resume: %v: %w", err, kindOf(err))
	}
	return nil
}

// Interval is a time in which capture was stopped.
type Interval struct{ From, To time.Time }

// Holds reports whether a time lies in the interval.
func (i Interval) Holds(t time.Time) bool { return !t.Before(i.From) && !t.After(i.To) }

// pausesFile holds the times of earlier pauses: a line each, of two numbers of
// nanoseconds since 1970.
const pausesFile = "pauses"

func rememberPause(dir string, i Interval) error {
	f, err := os.OpenFile(filepath.Join(dir, pausesFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d %d\n", i.From.UnixNano(), i.To.UnixNano())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Pauses gives the times in which capture was stopped for a repository, or
// everywhere; one that lasts ends now.
func Pauses(home, folder string) []Interval {
	var all []Interval
	for _, dir := range []string{home, filepath.Join(home, folder)} {
		text, err := readAtMost(filepath.Join(dir, pausesFile), 1<<20)
		for line := range strings.Lines(string(text)) {
			var from, to int64
			if _, serr := fmt.Sscan(line, &from, &to); err == nil && serr == nil {
				all = append(all, Interval{time.Unix(0, from), time.Unix(0, to)})
			}
		}
		if st, err := os.Lstat(filepath.Join(dir, pauseFile)); err == nil {
			all = append(all, Interval{st.ModTime(), time.Now()})
		}
	}
	return all
}
