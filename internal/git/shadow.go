package git

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
)

// shadow is a git directory that this package wrote itself.
type shadow struct{ dir string }

// shadowConfig is all the configuration that a git process reads. bare keeps
// it from looking for attributes in a work tree. The commit graph is a cache in
// the repository that could tell other parents than the commits do.
func shadowConfig(s settings, refStorage string, bare bool) string {
	version := "0"
	var extensions []string
	if s.objectFormat != "sha1" {
		version = "1"
		extensions = append(extensions, "\tobjectFormat = "+s.objectFormat+"\n")
	}
	if refStorage != "files" {
		version = "1"
		extensions = append(extensions, "\trefStorage = "+refStorage+"\n")
	}
	text := "[core]\n\trepositoryFormatVersion = " + version + "\n\tbare = " + fmt.Sprint(bare) + `
	commitGraph = false
	quotePath = false
	fsmonitor = false
	hooksPath = /dev/null
	attributesFile = /dev/null
	excludesFile = /dev/null
	autocrlf = false
	warnAmbiguousRefs = false
	logAllRefUpdates = false
	packedRefsTimeout = 0
[mailmap]
	blob = no-mailmap
	file =
[diff]
	algorithm = myers
	indentHeuristic = true
	orderFile = /dev/null
[gc]
	auto = 0
[maintenance]
	auto = false
[protocol]
	allow = never
[uploadpack]
	packObjectsHook =
`
	if len(extensions) > 0 {
		text += "[extensions]\n" + strings.Join(extensions, "")
	}
	return text
}

// entry is one thing that a shadow holds.
type entry struct {
	name string
	mode fs.FileMode // 0 a file, fs.ModeDir, fs.ModeSymlink
	text string      // content of a file, target of a link
}

// writeShadows makes or mends the two shadows of a repository under scratch.
// Several processes may do so at once: each file appears whole.
func writeShadows(scratch string, p place, s settings, shallow []string) (objects, refs shadow, err error) {
	key := sha256.Sum256([]byte(strings.Join([]string{p.gitDir, p.common, s.objectFormat, s.refStorage}, "\x00")))
	base := filepath.Join(scratch, "git")
	home := filepath.Join(base, hex.EncodeToString(key[:8]))
	for _, dir := range []string{scratch, base, home} {
		if err := ownDir(dir, dir != scratch); err != nil {
			return shadow{}, shadow{}, err
		}
	}
	if err := sweep(home); err != nil {
		return shadow{}, shadow{}, err
	}
	objects = shadow{filepath.Join(home, "objects")}
	refs = shadow{filepath.Join(home, "refs")}
	if err := objects.write(objectEntries(s, shallow)); err != nil {
		return shadow{}, shadow{}, err
	}
	if err := refs.write(refEntries(p, s, shallow)); err != nil {
		return shadow{}, shadow{}, err
	}
	return objects, refs, nil
}

func objectEntries(s settings, shallow []string) []entry {
	entries := []entry{
		{"HEAD", 0, "ref: refs/heads/none\n"},
		{"config", 0, shadowConfig(s, "files", true)},
		{"refs", fs.ModeDir, ""},
	}
	return withShallow(entries, shallow)
}

// pseudoRefs are the files beside HEAD that git lets a user name as revisions.
var pseudoRefs = []string{"ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD"}

// refEntries links to the refs and reflogs of the real repository. HEAD cannot
// be a link, because git takes a link for an old kind of symbolic ref; it is
// copied before each call that asks for it.
func refEntries(p place, s settings, shallow []string) []entry {
	entries := []entry{
		{"HEAD", 0, ""},
		{"config", 0, shadowConfig(s, s.refStorage, true)},
		{"packed-refs", fs.ModeSymlink, filepath.Join(p.common, "packed-refs")},
		{"logs", fs.ModeDir, ""},
		{"logs/HEAD", fs.ModeSymlink, filepath.Join(p.gitDir, "logs", "HEAD")},
		{"logs/refs", fs.ModeSymlink, filepath.Join(p.common, "logs", "refs")},
	}
	if s.refStorage == "reftable" {
		entries = append(entries,
			entry{"refs", fs.ModeDir, ""},
			entry{"refs/heads", 0, "this repository uses the reftable format\n"},
			entry{"reftable", fs.ModeSymlink, filepath.Join(p.common, "reftable")})
	} else {
		entries = append(entries, entry{"refs", fs.ModeSymlink, filepath.Join(p.common, "refs")})
	}
	for _, name := range pseudoRefs {
		entries = append(entries, entry{name, fs.ModeSymlink, filepath.Join(p.gitDir, name)})
	}
	return withShallow(entries, shallow)
}

func withShallow(entries []entry, shallow []string) []entry {
	if len(shallow) == 0 {
		return entries
	}
	return append(entries, entry{"shallow", 0, strings.Join(shallow, "\n") + "\n"})
}

// write makes the shadow hold exactly these entries. A directory may have come
// with the repository, made by somebody who guessed its name: what does not
// belong there is removed.
func (s shadow) write(entries []entry) error {
	if err := ownDir(s.dir, true); err != nil {
		return err
	}
	if err := s.prune("", entries); err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(s.dir, e.name)
		var err error
		switch {
		case e.mode == fs.ModeDir:
			if err = ownDir(path, true); err == nil {
				err = s.prune(e.name, entries)
			}
		case e.mode == fs.ModeSymlink:
			err = putLink(path, e.text)
		case e.name == "HEAD" && e.text == "":
			// Kept fresh by refreshHead; git only needs it to be there.
			if got, rerr := os.ReadFile(path); rerr != nil || len(got) == 0 {
				err = putFile(path, "ref: refs/heads/none\n")
			}
		default:
			err = putFile(path, e.text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s shadow) prune(sub string, entries []entry) error {
	dir := filepath.Join(s.dir, sub)
	found, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		name := filepath.ToSlash(filepath.Join(sub, f.Name()))
		if strings.HasPrefix(f.Name(), tempPrefix) && !abandoned(f) {
			continue // another process is about to rename it; git does not know the name
		}
		known := slices.ContainsFunc(entries, func(e entry) bool { return e.name == name && e.mode == f.Type() })
		if !known {
			if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// tempPrefix begins the names of files that are being written.
const tempPrefix = ".stemma-tmp-"

// blamePrefix begins the names of shadows for one call.
const blamePrefix = "blame-"

// attributesPrefix begins the names of shadows that answer for attributes.
const attributesPrefix = "attributes-"

// sweep removes the shadows that calls left which were killed.
func sweep(home string) error {
	found, err := os.ReadDir(home)
	if err != nil {
		return err
	}
	for _, f := range found {
		own := strings.HasPrefix(f.Name(), blamePrefix) || strings.HasPrefix(f.Name(), attributesPrefix)
		if own && abandoned(f) {
			if err := os.RemoveAll(filepath.Join(home, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// abandoned reports whether what is written within a moment, or used for one
// call, is so old that nobody can be at it.
func abandoned(f fs.DirEntry) bool {
	stat, err := f.Info()
	return err == nil && time.Since(stat.ModTime()) > 24*time.Hour
}

// ownDir makes a directory if it is missing. When own is set, a link in its
// place is refused: we would write where it leads.
func ownDir(dir string, own bool) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if !own {
		return nil
	}
	stat, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !stat.IsDir() {
		return fmt.Errorf("%w: %s is a link; remove it", stemma.ErrInvalid, dir)
	}
	return nil
}

func putFile(path, text string) error {
	if stat, err := os.Lstat(path); err == nil && stat.Mode().IsRegular() {
		if got, err := os.ReadFile(path); err == nil && string(got) == text {
			return nil
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func putLink(path, target string) error {
	for range 10 {
		if got, err := os.Readlink(path); err == nil && got == target {
			return nil
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		// Another process may have made it just now: look again.
		if err := os.Symlink(target, path); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return fmt.Errorf("%w: %s is being changed by somebody else", stemma.ErrConflict, path)
}

// readShallow reads the boundary of a shallow clone, sorted.
func readShallow(file string, hexLen int) ([]string, error) {
	data, err := readSmall(file, 256<<20)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read shallow boundary: %w", err)
	}
	return parseShallow(file, data, hexLen)
}

func parseShallow(file string, data []byte, hexLen int) ([]string, error) {
	var ids []string
	var offset int64
	for line := range bytes.Lines(data) {
		id := string(bytes.TrimRight(line, "\r\n"))
		if len(id) != hexLen || !isHex(id) {
			return nil, &DecodeError{file, offset, "not an object id"}
		}
		ids = append(ids, id)
		offset += int64(len(line))
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
