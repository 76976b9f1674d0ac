// Package spool answers what happened on this machine and has not been
// recorded yet: it is the capture path on disk, between the hook of an agent,
// which only ever appends, and stemma sync, which reads, records and purges.
//
// Begin with [Capture], which is all that a hook runs, and [Open] with
// [Spool.Records] to read. Nothing here parses more of a payload than it needs
// to know which files to look at, and nothing talks to a network or starts a
// process. What is spooled is raw: it is redacted before it leaves.
//
// On disk a spool is one folder for each repository (doc/design.md, section 5):
//
//	segments/<day>-<machine>-<n>.seg   records, appended, each with a checksum
//	blobs/<ab>/<sha-256>               contents of files, once each
//	usage                              bytes held, an estimate for the bound,
//	                                   and the latest time of a record
//
// A record that was cut by a kill or a full disk is skipped and counted; what
// stands before and after it is read.
package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stemma-dev/stemma"
)

// The bounds of a spool, unless a Config says otherwise.
const (
	// DefaultLimit is how many bytes a spool holds for one repository.
	DefaultLimit = 1 << 30
	// MaxFile is the size in bytes over which the content of a file is not
	// kept; the record then says how large it was.
	MaxFile = 8 << 20
	// MaxPayload is how many bytes of a hook's payload are kept; the record
	// says when there were more.
	MaxPayload = 16 << 20
	// segmentSize is the size at which a new segment is begun.
	segmentSize = 8 << 20
)

// Config says how much a spool may hold.
type Config struct {
	Limit int64 // bytes; 0 is DefaultLimit
}

// Spool is the spool of one repository. Several goroutines and processes, also
// of several machines that share the folder, may append and read at once.
type Spool struct {
	dir     string
	limit   int64
	machine string
	added   atomic.Int64 // bytes of blobs that the next record adds to the usage
}

// Open opens the spool in a folder, which it makes (0700) with the first
// record. The error is of kind ErrDenied when the folder is a link or no folder.
func Open(dir string, cfg Config) (*Spool, error) {
	if st, err := os.Lstat(dir); err == nil && !st.IsDir() {
		return nil, fmt.Errorf("spool %s is no folder: %w", dir, stemma.ErrDenied)
	}
	s := &Spool{dir: dir, limit: cfg.Limit, machine: machine()}
	if s.limit <= 0 {
		s.limit = DefaultLimit
	}
	return s, nil
}

// Dir is the folder of the spool.
func (s *Spool) Dir() string { return s.dir }

// machine tells machines that share a home apart: 8 hex digits of the SHA-256
// over the host's name and, where there is one, the machine id.
var machine = sync.OnceValue(func() string {
	name, _ := os.Hostname()                // without a name all are one, as before
	id, _ := os.ReadFile("/etc/machine-id") // absent on many systems
	sum := sha256.Sum256([]byte(name + "\x00" + string(id)))
	return hex.EncodeToString(sum[:4])
})

// Append adds a record. What is appended is whole or, after a kill, skipped by
// readers; it is not synced to the disk, because a hook must not wait. The error
// is ErrUnavailable when the disk is full or the spool holds its limit.
func (s *Spool) Append(r Record) error {
	if err := os.MkdirAll(filepath.Join(s.dir, "segments"), 0o700); err != nil {
		return fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	u := s.usage()
	// The time of a told call is the transcript's, and says nothing of this clock.
	if r.Phase != Told && u.latest.Sub(r.Time) > clockSlack {
		r.SetBack = u.latest
	}
	data, err := r.encode()
	if err != nil {
		return err
	}
	u.held += s.added.Swap(0)
	if u.held+int64(len(data)) > s.limit {
		s.setUsage(u)
		return fmt.Errorf("spool %s holds %d bytes, its limit: %w", s.dir, u.held, stemma.ErrUnavailable)
	}
	f, err := s.segment(r.Time)
	if err != nil {
		return fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	end, serr := f.Seek(0, 2)
	_, err = f.Write(data)
	if err != nil && serr == nil {
		// A torn record would only be skipped, but the space is wanted back.
		_ = f.Truncate(end)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	u.held += int64(len(data))
	if r.Phase != Told {
		u.latest = later(u.latest, r.Time)
	}
	s.setUsage(u)
	return nil
}

// clockSlack is by how much a record may be older than one before it: hooks that
// run at once take their time before they append.
const clockSlack = 5 * time.Second

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// segment opens the segment to append to: the last one of this machine, or a
// new one where that is full or of another day.
func (s *Spool) segment(t time.Time) (*os.File, error) {
	dir := filepath.Join(s.dir, "segments")
	prefix := t.UTC().Format("20060102") + "-" + s.machine + "-"
	n := 0
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".seg"), prefix)
		if i, err := strconv.Atoi(rest); ok && err == nil {
			n = max(n, i)
		}
	}
	for {
		path := filepath.Join(dir, fmt.Sprintf("%s%04d.seg", prefix, n))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		st, err := f.Stat()
		if err == nil && st.Mode().IsRegular() && st.Size() < segmentSize {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
		n++
	}
}

// Blob gives the content of a file that a record names by its SHA-256 in hex.
// The error is ErrNotFound where it is not held (any more), ErrInvalid where
// what is held is not what the name says.
func (s *Spool) Blob(digest string) ([]byte, error) {
	if len(digest) != sha256.Size*2 {
		return nil, fmt.Errorf("blob %q: %w", digest, stemma.ErrInvalid)
	}
	data, err := os.ReadFile(s.blobPath(digest))
	if err != nil {
		return nil, fmt.Errorf("blob %s: %v: %w", digest, err, kindOf(err))
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("blob %s is damaged: %w", digest, stemma.ErrInvalid)
	}
	return data, nil
}

func (s *Spool) blobPath(digest string) string {
	return filepath.Join(s.dir, "blobs", digest[:2], digest)
}

// putBlob keeps the content of a file and gives its name. Content that is held
// already costs no write.
func (s *Spool) putBlob(data []byte) (string, error) {
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	path := s.blobPath(digest)
	if st, err := os.Lstat(path); err == nil && st.Mode().IsRegular() && st.Size() == int64(len(data)) {
		// It is younger now: a purge by age must not take what is named anew.
		now := time.Now()
		_ = os.Chtimes(path, now, now)
		return digest, nil
	}
	if held := s.usage().held + s.added.Load(); held+int64(len(data)) > s.limit {
		return "", fmt.Errorf("spool %s holds %d bytes, its limit: %w", s.dir, held, stemma.ErrUnavailable)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("spool: %v: %w", err, kindOf(err))
	}
	s.added.Add(int64(len(data)))
	return digest, nil
}

// usage is what is remembered from one hook to the next.
type usage struct {
	held   int64     // bytes, as far as they were counted
	latest time.Time // of a record, by the clocks of all machines
}

// usage reads what is remembered; what can not be read was lost.
func (s *Spool) usage() (u usage) {
	text, err := os.ReadFile(filepath.Join(s.dir, "usage"))
	if err != nil {
		return u
	}
	held, latest, _ := strings.Cut(string(text), " ")
	latest = strings.TrimSpace(latest)
	if n, err := strconv.ParseInt(held, 10, 64); err == nil {
		u.held = n
	}
	if n, err := strconv.ParseInt(latest, 10, 64); err == nil {
		u.latest = time.Unix(0, n).UTC()
	}
	return u
}

// setUsage remembers it. It is called under the lock; losing it makes the bound
// late and a clock that is set back unseen, no more: [Spool.Measure] counts anew.
//
// It is written over what was there, which is as long: to cut the file first
// would make some file systems write it to the disk before the hook may end.
func (s *Spool) setUsage(u usage) {
	latest := ""
	if !u.latest.IsZero() {
		latest = strconv.FormatInt(u.latest.UnixNano(), 10)
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "usage"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = fmt.Fprintf(f, "%-20d %-20s\n", u.held, latest)
}

// Holding is what a spool holds.
type Holding struct {
	Segments, Blobs int
	Bytes           int64
	Oldest          time.Time // the oldest segment's day; zero where there is none
}

// Measure counts what the spool holds, and corrects the estimate that its bound
// rests on.
func (s *Spool) Measure() (Holding, error) {
	var h Holding
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return nil // purged meanwhile
		}
		switch {
		case strings.HasSuffix(path, ".seg"):
			h.Segments++
			if day, err := time.Parse("20060102", e.Name()[:min(8, len(e.Name()))]); err == nil && (h.Oldest.IsZero() || day.Before(h.Oldest)) {
				h.Oldest = day
			}
		case filepath.Base(filepath.Dir(filepath.Dir(path))) == "blobs":
			h.Blobs++
		default:
			return nil
		}
		h.Bytes += st.Size()
		return nil
	})
	if err != nil {
		return h, fmt.Errorf("spool %s: %v: %w", s.dir, err, kindOf(err))
	}
	if h.Segments+h.Blobs == 0 {
		return h, nil
	}
	unlock, err := s.lock()
	if err != nil {
		return h, err
	}
	defer unlock()
	u := s.usage()
	u.held = h.Bytes
	s.setUsage(u)
	return h, nil
}

// Purge removes segments whose last record was appended before a time, and the
// contents that were named last before it. It gives the bytes that are free.
// Calling it while hooks append loses nothing that is younger.
func (s *Spool) Purge(before time.Time) (int64, error) {
	unlock, err := s.lock()
	if errors.Is(err, stemma.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var freed int64
	for _, pattern := range []string{"segments/*.seg", "blobs/??/*", "blobs/??/.new-*"} {
		for _, path := range s.matching(pattern) {
			st, err := os.Lstat(path)
			if err != nil || !st.Mode().IsRegular() || !st.ModTime().Before(before) {
				continue
			}
			if os.Remove(path) == nil {
				freed += st.Size()
			}
		}
	}
	// What was remembered for a call that never ended.
	for _, path := range s.matching("state/*.json") {
		if st, err := os.Lstat(path); err == nil && st.ModTime().Before(before) {
			os.Remove(path)
		}
	}
	for _, path := range s.matching("state/*.index") {
		if _, err := os.Lstat(strings.TrimSuffix(path, ".index") + ".json"); errors.Is(err, fs.ErrNotExist) {
			os.Remove(path)
		}
	}
	unlock()
	_, err = s.Measure()
	return freed, err
}

// matching gives the paths of the files in the spool that match a pattern. Its own
// path is no part of the pattern: a bracket in it is a bracket.
func (s *Spool) matching(pattern string) []string {
	paths, _ := fs.Glob(os.DirFS(s.dir), pattern) // the patterns are fixed
	for i, name := range paths {
		paths[i] = filepath.Join(s.dir, filepath.FromSlash(name))
	}
	return paths
}

// segments gives the paths of all segments, in the order of their names, which
// is that of days.
func (s *Spool) segments() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "segments"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("spool %s: %v: %w", s.dir, err, kindOf(err))
	}
	var paths []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".seg") {
			paths = append(paths, filepath.Join(s.dir, "segments", e.Name()))
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// kindOf is the error kind of what the system said.
func kindOf(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return stemma.ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		return stemma.ErrDenied
	default:
		return stemma.ErrUnavailable
	}
}
