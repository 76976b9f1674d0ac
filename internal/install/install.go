// Package install answers what must stand in other programs' files so that they
// run stemma's hooks, and takes it out again, byte for byte. Begin with [Plan];
// [Apply] carries a plan out, [Undo] takes everything back, [Check] says whether
// it still stands.
//
// What others put into the same files is kept: comments, order and spaces of JSON
// stay as they are, and a hook of git that is there already goes on to run.
package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
)

// Config says what to install.
type Config struct {
	Home   string   // of the user
	Tree   string   // top of a work tree: the agents' files are put there; "" for the user's own
	Hooks  string   // the folder that git looks for hooks in; "" for none
	Agents []string // names of agents; nil is those that are found
	Hook   string   // command line before the name of the agent: "/usr/bin/stemma-hook"
	Sync   string   // command line that syncs in the background; "" for none
	Assist string   // command line that adds trailers to a commit message; "" for none
}

// Edit is a change of one file.
type Edit struct {
	Path   string
	For    string // the agent, or "git"
	Before []byte // nil where there is no file
	After  []byte
	Mode   fs.FileMode // of a file that is new
	mark   []string    // what shows that it still stands
	strip  func([]byte) ([]byte, error)
}

// Skipped is a file that is left alone, with the reason.
type Skipped struct {
	Path, For string
	Err       error // of a kind of package stemma
}

// maxFile is the size in bytes over which a file of settings is left alone.
const maxFile = 16 << 20

// Plan says what has to be changed so that the hooks are in place: nothing where
// they are. It writes nothing.
func Plan(cfg Config) ([]Edit, []Skipped, error) {
	var edits []Edit
	var skipped []Skipped
	names := cfg.Agents
	if names == nil {
		names = Found(cfg.Home)
	}
	for _, name := range names {
		a, ok := agentNamed(name)
		if !ok {
			return nil, nil, fmt.Errorf("agent %q: want one of %s: %w", name, strings.Join(Agents(), ", "), stemma.ErrInvalid)
		}
		path := a.path(cfg)
		if path == "" {
			skipped = append(skipped, Skipped{For: name, Err: fmt.Errorf("%s has no settings of one repository: %w", a.Name, stemma.ErrNotFound)})
			continue
		}
		e, err := a.edit(cfg, path)
		if err != nil {
			skipped = append(skipped, Skipped{Path: path, For: name, Err: err})
			continue
		}
		edits = append(edits, e...)
	}
	if cfg.Hooks != "" {
		names := gitHooks
		if cfg.Assist != "" {
			names = append(slices.Clone(gitHooks), assistHook)
		}
		for _, name := range names {
			e, err := gitHook(cfg, name)
			if err != nil {
				skipped = append(skipped, Skipped{Path: filepath.Join(cfg.Hooks, name), For: "git", Err: err})
				continue
			}
			edits = append(edits, e...)
		}
	}
	return edits, skipped, nil
}

// Changed gives the edits that change something.
func Changed(edits []Edit) []Edit {
	return slices.DeleteFunc(slices.Clone(edits), func(e Edit) bool { return e.Before != nil && bytes.Equal(e.Before, e.After) })
}

// entry is a file in the journal.
type entry struct {
	Path      string   `json:"path"`
	For       string   `json:"for"`
	Created   bool     `json:"created"`            // there was no file
	Original  string   `json:"original,omitempty"` // SHA-256 of what was there, kept beside the journal
	Installed string   `json:"installed"`          // SHA-256 of what was written
	Mark      []string `json:"mark"`
}

// journal remembers what was installed.
type journal struct {
	dir     string
	Entries []entry `json:"entries"`
}

// openJournal reads the journal in a folder; an empty one where there is none.
func openJournal(dir string) (*journal, error) {
	j := &journal{dir: dir}
	text, err := os.ReadFile(filepath.Join(dir, "journal.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err == nil {
		err = json.Unmarshal(text, j)
	}
	if err != nil {
		return nil, fmt.Errorf("journal of what is installed: %v: %w", err, stemma.ErrInvalid)
	}
	return j, nil
}

func (j *journal) write() error {
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(j.dir, "journal.json"), append(text, '\n'), 0o600)
}

func (j *journal) at(path string) int {
	return slices.IndexFunc(j.Entries, func(e entry) bool { return e.Path == path })
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Apply carries edits out, and remembers in the journal in dir how to take them
// back. What is there is kept before it is changed: a stop at any moment leaves
// each file as it was or as it shall be. A file that changed since the plan is
// ErrConflict.
func Apply(dir string, edits []Edit) error {
	j, err := openJournal(dir)
	if err != nil {
		return err
	}
	for _, e := range Changed(edits) {
		now, err := read(e.Path)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, e.Before) || (now == nil) != (e.Before == nil) {
			return fmt.Errorf("%s changed meanwhile: %w", e.Path, stemma.ErrConflict)
		}
		mode := e.Mode
		if st, err := os.Stat(e.Path); err == nil {
			mode = st.Mode().Perm()
		}
		if err := j.remember(e); err != nil {
			return err
		}
		if err := writeFile(e.Path, e.After, mode); err != nil {
			return err
		}
	}
	return nil
}

// remember keeps what is there, so that it comes back by the byte.
func (j *journal) remember(e Edit) error {
	i := j.at(e.Path)
	if i < 0 {
		i = len(j.Entries)
		j.Entries = append(j.Entries, entry{Path: e.Path, For: e.For, Created: e.Before == nil})
		if e.Before != nil {
			if err := j.keep(i, e.Before); err != nil {
				return err
			}
		}
	} else if e.Before != nil && digest(e.Before) != j.Entries[i].Installed {
		// Somebody changed it since: theirs is what comes back, without ours.
		theirs, err := e.strip(e.Before)
		if err != nil {
			return err
		}
		j.Entries[i].Created = false
		if err := j.keep(i, theirs); err != nil {
			return err
		}
	}
	j.Entries[i].Installed, j.Entries[i].Mark = digest(e.After), e.mark
	return j.write()
}

func (j *journal) keep(i int, data []byte) error {
	j.Entries[i].Original = digest(data)
	return writeFile(filepath.Join(j.dir, "originals", j.Entries[i].Original), data, 0o600)
}

// Undone is a file that Undo looked at.
type Undone struct {
	Path string
	// Changed says that somebody changed the file since: only what was installed
	// was taken out of it.
	Changed bool
	Err     error // the file is as it was before Undo
}

// Undo takes everything back that the journal in dir remembers. Undoing again is
// no error.
func Undo(dir string) ([]Undone, error) {
	j, err := openJournal(dir)
	if err != nil {
		return nil, err
	}
	var done []Undone
	var left []entry
	for _, e := range slices.Backward(j.Entries) {
		u := Undone{Path: e.Path}
		u.Changed, u.Err = j.undo(e)
		if u.Err != nil {
			left = append(left, e)
		}
		done = append(done, u)
	}
	slices.Reverse(left)
	j.Entries = left
	if len(left) == 0 {
		if err := os.RemoveAll(dir); err != nil {
			return done, fmt.Errorf("%v: %w", err, stemma.ErrDenied)
		}
		return done, nil
	}
	return done, j.write()
}

func (j *journal) undo(e entry) (changed bool, err error) {
	now, err := read(e.Path)
	if err != nil || now == nil {
		return false, err // gone: nothing of ours is left
	}
	if digest(now) == e.Installed {
		if e.Created {
			return false, os.Remove(e.Path)
		}
		original, err := os.ReadFile(filepath.Join(j.dir, "originals", e.Original))
		if err != nil || digest(original) != e.Original {
			return false, fmt.Errorf("what was in %s before is not kept any more: %w", e.Path, stemma.ErrNotFound)
		}
		st, err := os.Stat(e.Path)
		if err != nil {
			return false, err
		}
		return false, writeFile(e.Path, original, st.Mode().Perm())
	}
	strip := stripJSON
	if e.For == "git" {
		strip = stripScript
	}
	theirs, err := strip(now)
	if err != nil || bytes.Equal(theirs, now) {
		return true, err
	}
	st, err := os.Stat(e.Path)
	if err != nil {
		return true, err
	}
	return true, writeFile(e.Path, theirs, st.Mode().Perm())
}

// Status is whether what was installed in a file still stands.
type Status struct {
	Path, For string
	Fault     string // "" where it stands
}

// Check looks at every file that the journal in dir remembers.
func Check(dir string) ([]Status, error) {
	j, err := openJournal(dir)
	if err != nil {
		return nil, err
	}
	all := make([]Status, 0, len(j.Entries))
	for _, e := range j.Entries {
		s := Status{Path: e.Path, For: e.For}
		now, err := read(e.Path)
		switch {
		case err != nil:
			s.Fault = err.Error()
		case now == nil:
			s.Fault = "the file is gone"
		default:
			for _, m := range e.Mark {
				if !bytes.Contains(now, []byte(m)) {
					s.Fault = "a hook was taken out of it"
				}
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// read gives a file, nil where there is none. Links are followed: the file that
// they lead to is the one that is edited.
func read(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && (!st.Mode().IsRegular() || st.Size() > maxFile) {
		return nil, fmt.Errorf("%s is no file of settings: %w", path, stemma.ErrInvalid)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

// writeFile writes a file as a whole, where a link leads.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		path = to
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".stemma-*")
	if err != nil {
		return fmt.Errorf("%v: %w", err, stemma.ErrDenied)
	}
	_, err = f.Write(data)
	if cerr := f.Chmod(mode); err == nil {
		err = cerr
	}
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
		return fmt.Errorf("%v: %w", err, stemma.ErrUnavailable)
	}
	return nil
}
