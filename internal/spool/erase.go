package spool

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stemma-dev/stemma"
)

// Erased counts what [Spool.Erase] took.
type Erased struct{ Records, Blobs int }

// Erase takes the records that match out of the spool, and the contents of files
// that only they name. Segments and contents that go are overwritten before they
// are removed; what the medium keeps of that is beyond it. Parts of a segment
// that can not be read go with the first record that is taken out of it. When it
// returns, all of it is durable. It may be called again after an error, and while
// hooks append.
func (s *Spool) Erase(match func(Record) bool) (Erased, error) {
	var done Erased
	unlock, err := s.lock()
	if errors.Is(err, stemma.ErrNotFound) {
		return done, nil
	}
	if err != nil {
		return done, err
	}
	defer unlock()
	if err := s.sweep(); err != nil {
		return done, err
	}
	paths, err := s.segments()
	if err != nil {
		return done, err
	}
	taken, kept := make(map[string]bool), make(map[string]bool)
	changed := make(map[string][]byte)
	for _, path := range paths {
		data, err := readAtMost(path, maxSegment)
		if err != nil {
			return done, fmt.Errorf("spool: %w", err)
		}
		rest, n := without(data, filepath.Base(path), match, taken, kept)
		if n > 0 {
			done.Records += n
			changed[path] = rest
		}
	}
	// The contents first: a record that is still there finds them again.
	for digest := range taken {
		if kept[digest] || len(digest) < 2 {
			continue
		}
		gone, err := shred(s.blobPath(digest))
		if err != nil {
			return done, err
		}
		if gone {
			done.Blobs++
		}
	}
	if len(changed) > 0 {
		if err := s.regenerate(); err != nil {
			return done, err
		}
	}
	for path, rest := range changed {
		if err := s.rewrite(path, rest); err != nil {
			return done, err
		}
	}
	return done, s.eraseTranscripts(match)
}

// without gives the records of a segment that do not match, as they are on disk,
// and how many match. It notes which contents both kinds name.
func without(data []byte, name string, match func(Record) bool, taken, kept map[string]bool) (rest []byte, n int) {
	for r, err := range decode(data, name) {
		var torn *DecodeError
		if errors.As(err, &torn) {
			if match(Record{Payload: data[torn.Offset:][:torn.Length]}) {
				n++
			}
			continue
		}
		names := kept
		if match(r.Record) {
			names = taken
			n++
		} else if text, err := r.Record.encode(); err == nil {
			rest = append(rest, text...)
		}
		for _, f := range r.Files {
			if f.Blob != "" {
				names[f.Blob] = true
			}
		}
	}
	return rest, n
}

// sweep finishes what an erasure that was stopped has left.
func (s *Spool) sweep() error {
	left := s.matching("segments/*" + replaced)
	if _, err := os.Lstat(filepath.Join(s.dir, transcripts+replaced)); err == nil {
		left = append(left, filepath.Join(s.dir, transcripts+replaced))
	}
	for _, old := range left {
		was, err := os.Stat(old)
		if err != nil {
			return fmt.Errorf("spool: %v: %w", err, kindOf(err))
		}
		now, err := os.Stat(strings.TrimSuffix(old, replaced))
		if err == nil && os.SameFile(was, now) {
			err = os.Remove(old) // the segment itself, which was not replaced yet
		} else {
			_, err = shred(old)
		}
		if err != nil {
			return fmt.Errorf("spool: %v: %w", err, kindOf(err))
		}
	}
	return nil
}

// replaced ends the name of a segment in whose place another is.
const replaced = ".old"

// rewrite puts what stays in the place of a segment, durably, and overwrites
// what was there.
func (s *Spool) rewrite(path string, rest []byte) error {
	old := path + replaced
	if len(rest) > 0 {
		f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
		if err != nil {
			return fmt.Errorf("spool: %v: %w", err, kindOf(err))
		}
		defer os.Remove(f.Name())
		_, err = f.Write(rest)
		if serr := f.Sync(); err == nil {
			err = serr
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			err = os.Link(path, old)
		}
		if err == nil {
			err = os.Rename(f.Name(), path)
		}
		if err != nil {
			return fmt.Errorf("spool: %v: %w", err, kindOf(err))
		}
		path = old
	}
	_, err := shred(path)
	return err
}

// shred overwrites a file, durably, removes it, and says whether it was there.
func shred(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	st, err := f.Stat()
	if err == nil {
		_, err = io.CopyN(f, rand.Reader, st.Size())
	}
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return false, fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	return true, nil
}

// Of reports whether a record is of a session, by its id or by one in the
// payload that was not understood.
func (r Record) Of(session string) bool {
	return r.Session == session || r.Parent == session || session != "" && bytes.Contains(r.Payload, []byte(session))
}
