package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stemma-dev/stemma"
)

// Cursor is how far a spool was read: bytes of each segment, by its base name.
type Cursor map[string]int64

// Sizes gives how long each segment is now. As long as they and the generation
// are the same, nothing has come in.
func (s *Spool) Sizes() (Cursor, error) {
	paths, err := s.segments()
	if err != nil {
		return nil, err
	}
	sizes := make(Cursor, len(paths))
	for _, path := range paths {
		if st, err := os.Lstat(path); err == nil { // else purged meanwhile
			sizes[filepath.Base(path)] = st.Size()
		}
	}
	return sizes, nil
}

// generationFile changes whenever records move within a segment.
const generationFile = "generation"

// Generation tells whether the places of records are what they were: an erasure
// moves them. A Cursor and the places of records hold for one generation.
func (s *Spool) Generation() string {
	text, err := readAtMost(filepath.Join(s.dir, generationFile), 64)
	if err != nil {
		return ""
	}
	return string(text)
}

func (s *Spool) regenerate() error {
	text := strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := os.WriteFile(filepath.Join(s.dir, generationFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	return nil
}

// RecordsAfter is [Spool.Records] without what stands before the cursor, which it
// moves behind each record that it gives. What is cut off at the end of a segment
// stays before the cursor: it may be on its way.
func (s *Spool) RecordsAfter(c Cursor) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		paths, err := s.segments()
		if err != nil {
			yield(Stored{}, err)
			return
		}
		names := make(map[string]bool, len(paths))
		for _, path := range paths {
			name := filepath.Base(path)
			names[name] = true
			data, err := readFrom(path, c[name], maxSegment)
			if errors.Is(err, stemma.ErrNotFound) {
				continue // purged meanwhile
			}
			if err != nil {
				yield(Stored{}, fmt.Errorf("spool: %w", err))
				return
			}
			from := c[name]
			for r, err := range decode(data, name) {
				var fault *DecodeError
				switch {
				case err == nil:
					r.Offset += from
					c[name] = r.Offset + sizeOf(data[r.Offset-from:])
				case errors.As(err, &fault):
					fault.Offset += from
				}
				if !yield(r, err) {
					return
				}
			}
		}
		maps.DeleteFunc(c, func(name string, _ int64) bool { return !names[name] })
	}
}

// sizeOf is the size on disk of the whole record that data begins with.
func sizeOf(data []byte) int64 {
	return prefixSize + int64(binary.LittleEndian.Uint32(data[4:])) + int64(binary.LittleEndian.Uint32(data[8:]))
}

// readFrom reads a regular file from an offset on, limit bytes at most.
func readFrom(path string, offset, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, kindOf(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, offset, limit))
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, kindOf(err))
	}
	return data, nil
}

// RecordAt reads the record at a place that [Spool.Records] or
// [Spool.RecordsAfter] gave. The error is ErrNotFound where its segment is gone,
// and a *DecodeError where no record begins there (any more).
func (s *Spool) RecordAt(segment string, offset int64) (Record, error) {
	if filepath.Base(segment) != segment || offset < 0 {
		return Record{}, fmt.Errorf("record %q %d: %w", segment, offset, stemma.ErrInvalid)
	}
	path := filepath.Join(s.dir, "segments", segment)
	prefix, err := readFrom(path, offset, prefixSize)
	if err != nil {
		return Record{}, fmt.Errorf("spool: %w", err)
	}
	fault := func(reason string) (Record, error) {
		return Record{}, &DecodeError{Path: segment, Offset: offset, Reason: reason}
	}
	if len(prefix) < prefixSize || string(prefix[:4]) != magic {
		return fault("no record begins here")
	}
	size := sizeOf(prefix)
	if size > maxSegment {
		return fault("a record of a length that nobody writes")
	}
	data, err := readFrom(path, offset, size)
	if err != nil {
		return Record{}, fmt.Errorf("spool: %w", err)
	}
	r, _, err := next(data)
	if err != nil {
		return fault(err.Error())
	}
	return r, nil
}

// Excludes gives a function that tells of a path, absolute, whether a hook would
// keep its content out of a spool: by the user's patterns and repositories, by
// git's ignored files, or because it is a file of secrets. config is as in Input.
func (s *Spool) Excludes(config string) func(path string) bool {
	home := readSettings(filepath.Dir(s.dir))
	known := make(map[string]bool)
	return func(path string) bool {
		if excluded, ok := known[path]; ok {
			return excluded
		}
		known[path] = home.hides(path, filepath.Dir(s.dir), config)
		return known[path]
	}
}

func (s Settings) hides(path, home, config string) bool {
	p, err := Find(filepath.Dir(path))
	if err != nil {
		return excludedByName(filepath.ToSlash(path), nil)
	}
	rel, ok := p.Within(path)
	if !ok {
		return false
	}
	more := readSettings(filepath.Join(home, p.Folder()))
	rules := parseRules(append(s.Exclude[:len(s.Exclude):len(s.Exclude)], more.Exclude...))
	if s.excludes(p) || excludedByName(rel, rules) {
		return true
	}
	if !ignored(p, config, rel) {
		return false
	}
	index, err := readIndex(p)
	return err != nil || !index.has(rel)
}
