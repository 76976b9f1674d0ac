package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
)

// maxIndex is the size in bytes over which git's index is not read.
const maxIndex = 1 << 30

// index is what git's index remembers, in its order: that of the bytes of paths.
type index []indexEntry

// indexEntry is what git's index remembers of a tracked file.
type indexEntry struct {
	path  string
	mtime int64 // ns since 1970
	size  uint32
	mode  uint32
	// skip says that the file need not be in the work tree or is not looked at:
	// skip-worktree, assume-valid.
	skip bool
}

// find gives the place of a path whose entries all begin with the same bytes,
// so many that they are not compared again. rest is what follows these bytes.
func (x index) find(same int, rest string) (int, bool) {
	return slices.BinarySearchFunc(x, rest, func(e indexEntry, rest string) int { return strings.Compare(e.path[same:], rest) })
}

// below gives the part of x that lies in a folder whose path, with a slash at
// its end, is dir, and where in x it begins. As in find, the first bytes are not
// compared again.
func (x index) below(same int, dir string) (part index, at int) {
	from, _ := x.find(same, dir[same:])
	end, _ := slices.BinarySearchFunc(x[from:], dir[same:], func(e indexEntry, dir string) int {
		if strings.HasPrefix(e.path[same:], dir) {
			return -1
		}
		return 1
	})
	return x[from : from+end], from
}

// has reports whether a path is tracked.
func (x index) has(path string) bool {
	_, ok := x.find(0, path)
	return ok
}

// readIndex reads git's index of a work tree (gitformat-index(5), versions 2
// to 4). Without an index nothing is tracked. A split index is
// ErrUnavailable: what it shares is in another file.
func readIndex(p Place) (index, error) {
	return readIndexFile(filepath.Join(p.GitDir, "index"), hashSize(p.Common), nil)
}

// readIndexFile reads an index whose object ids have this size. oids, where it is
// not nil, gets the ids of the paths that it holds.
func readIndexFile(path string, oid int, oids map[string]string) (index, error) {
	st, err := os.Stat(path)
	if err != nil {
		if errors.Is(kindOf(err), stemma.ErrNotFound) {
			return nil, nil
		}
		return nil, fmt.Errorf("git index: %v: %w", err, kindOf(err))
	}
	if st.Size() > maxIndex {
		return nil, fmt.Errorf("git index of %d bytes: %w", st.Size(), stemma.ErrUnavailable)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("git index: %v: %w", err, kindOf(err))
	}
	return decodeIndex(data, oid, oids)
}

// hashSize is the length in bytes of the repository's object ids.
func hashSize(common string) int {
	config, err := readAtMost(filepath.Join(common, "config"), 1<<20)
	if err == nil && bytes.Contains(bytes.ToLower(bytes.ReplaceAll(config, []byte(" "), nil)), []byte("objectformat=sha256")) {
		return 32
	}
	return 20
}

const (
	indexFixed    = 40 // bytes of an entry before its object id
	flagExtended  = 0x4000
	flagValid     = 0x8000
	flagSkipTree  = 0x4000 // in the extended flags
	modeGitDir    = 0o040000
	modeGitModule = 0o160000
)

// decodeIndex reads the bytes of an index whose object ids have this size, and
// fills in the ids of the paths in oids.
func decodeIndex(data []byte, oid int, oids map[string]string) (index, error) {
	fail := func(at int, reason string) (index, error) {
		return nil, &DecodeError{Path: "git index", Offset: int64(at), Reason: reason}
	}
	if len(data) < 12 || string(data[:4]) != "DIRC" {
		return fail(0, "is no index")
	}
	version, count := binary.BigEndian.Uint32(data[4:]), int(binary.BigEndian.Uint32(data[8:]))
	if version < 2 || version > 4 {
		return fail(4, fmt.Sprintf("version %d", version))
	}
	if count > len(data)/(indexFixed+oid) {
		return fail(8, "more entries than fit")
	}
	entries := make(index, 0, count)
	at := 12
	var name []byte
	for range count {
		begin := at
		if at+indexFixed+oid+2 > len(data) {
			return fail(at, "cut inside an entry")
		}
		e := indexEntry{
			mtime: int64(binary.BigEndian.Uint32(data[at+8:]))*1e9 + int64(binary.BigEndian.Uint32(data[at+12:])),
			mode:  binary.BigEndian.Uint32(data[at+24:]),
			size:  binary.BigEndian.Uint32(data[at+36:]),
		}
		id := data[at+indexFixed : at+indexFixed+oid]
		at += indexFixed + oid
		flags := binary.BigEndian.Uint16(data[at:])
		at += 2
		e.skip = flags&flagValid != 0
		if flags&flagExtended != 0 && version > 2 {
			if at+2 > len(data) {
				return fail(at, "cut inside an entry")
			}
			e.skip = e.skip || binary.BigEndian.Uint16(data[at:])&flagSkipTree != 0
			at += 2
		}
		if version == 4 {
			strip, n := indexVarint(data[at:])
			if n == 0 || strip > uint64(len(name)) {
				return fail(at, "a name that shortens one that is shorter")
			}
			at += n
			name = name[:len(name)-int(strip)]
		} else {
			name = name[:0]
		}
		end := bytes.IndexByte(data[at:], 0)
		if end < 0 {
			return fail(at, "a name without an end")
		}
		name = append(name, data[at:at+end]...)
		at += end + 1
		if version < 4 {
			at = begin + (at-1-begin+8)&^7 // one to eight zero bytes
			if at > len(data) {
				return fail(begin, "cut inside an entry")
			}
		}
		if e.mode == modeGitDir || e.mode == modeGitModule {
			continue // a folder that is not checked out; another repository
		}
		e.path = string(name)
		switch last := len(entries) - 1; {
		case last < 0 || entries[last].path < e.path:
			entries = append(entries, e)
		case entries[last].path == e.path:
			entries[last] = e // another side of a conflict
		default:
			return fail(begin, "a path out of its order")
		}
		if _, ok := oids[e.path]; ok {
			oids[e.path] = hex.EncodeToString(id)
		}
	}
	for at+8 <= len(data)-oid {
		if string(data[at:at+4]) == "link" {
			return nil, fmt.Errorf("git index is split: %w", stemma.ErrUnavailable)
		}
		size := int(binary.BigEndian.Uint32(data[at+4:]))
		if size > len(data)-at-8 {
			break
		}
		at += 8 + size
	}
	return entries, nil
}

// indexVarint reads the offset encoding of pack files and gives how many bytes
// it has; 0 where it is cut or too long.
func indexVarint(data []byte) (v uint64, n int) {
	for n < len(data) && n < 9 {
		c := data[n]
		n++
		v = v<<7 | uint64(c&0x7f)
		if c&0x80 == 0 {
			return v, n
		}
		v++
	}
	return 0, 0
}
