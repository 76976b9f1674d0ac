package store

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/stemma-dev/stemma"
)

// MaxRow is the size in bytes over which an attribution row is neither written
// nor read. A commit that adds a million files has about 5 MB.
const MaxRow = 64 << 20

// rowVersion is the first byte of a row. Rows are derived, so that a backend
// answers a new version by dropping its graph, never by reading two versions.
const rowVersion = 3

// PathID gives the number that stands for a path in rows, and makes one for a
// path that has none.
type PathID func(path string) (int64, error)

// PathName gives the path that a number stands for.
type PathName func(id int64) (string, error)

// AppendRow appends the compact form of an attribution to dst. The commit's id
// is not in it: the backend knows it by the row's key. The error is ErrInvalid
// for an attribution that cannot be kept: a negative count, a class that is
// none, an owner out of range, more than [MaxRow] bytes; or what id says.
//
// The form, in which a number is a varint (zigzag where it may be negative):
//
//	version    one byte
//	files      count, then the path ids as differences from the one before
//	flags      what follows and what is left out
//	time, rest class, owner of the rest, algorithm, input
//	lines      by class
//	owners     count, then each; a string met before is a reference to it
//	files      each: added<<2 | ranges<<1 | generated, then its ranges
//	sources, conflicts, unreadable, ambiguous   where the flags say so
//
// The path ids come first so that [RowPaths] need not read the rest.
func AppendRow(dst []byte, a *stemma.Attribution, id PathID) ([]byte, error) {
	w := rowWriter{buf: dst}
	w.byte(rowVersion)
	w.count(len(a.Files))
	last := int64(0)
	for i := range a.Files {
		n, err := id(a.Files[i].Path)
		if err != nil {
			return dst, fmt.Errorf("attribution of %s: %w", a.Commit, err)
		}
		w.signed(n - last)
		last = n
	}
	w.attribution(a)
	if w.err != nil {
		return dst, fmt.Errorf("attribution of %s: %w", a.Commit, w.err)
	}
	if len(w.buf)-len(dst) > MaxRow {
		return dst, fmt.Errorf("attribution of %s: row of %d bytes, over the limit of %d: %w",
			a.Commit, len(w.buf)-len(dst), MaxRow, stemma.ErrInvalid)
	}
	return w.buf, nil
}

// ParseRow reads what [AppendRow] wrote. Empty lists come back nil. The error
// is ErrInvalid, with the offset, for bytes that are no row; or what name says.
func ParseRow(commit string, row []byte, name PathName) (stemma.Attribution, error) {
	r := rowReader{buf: row}
	ids := r.paths(nil)
	a := stemma.Attribution{Commit: commit}
	r.attribution(&a, len(ids))
	if r.err == nil && r.at != len(r.buf) {
		r.fail("%d bytes after the end", len(r.buf)-r.at)
	}
	if r.err != nil {
		return stemma.Attribution{}, fmt.Errorf("attribution of %s: %w", commit, r.err)
	}
	for i, id := range ids {
		path, err := name(id)
		if err != nil {
			return stemma.Attribution{}, fmt.Errorf("attribution of %s: %w", commit, err)
		}
		a.Files[i].Path = path
	}
	return a, nil
}

// RowPaths appends the path ids that a row names to dst, without reading the
// rest of the row. The error is ErrInvalid as for [ParseRow].
func RowPaths(dst []int64, row []byte) ([]int64, error) {
	r := rowReader{buf: row}
	dst = r.paths(dst)
	return dst, r.err
}

// What the flags byte says.
const (
	rowMerge = 1 << iota
	rowSources
	rowConflicts
	rowUnreadable
	rowAmbiguous
)

// What the flags byte of an owner says.
const (
	rowExact = 1 << iota // its model is exact
	rowModel             // its model has a strength of its own
	rowVia
	rowGone
)

// rowClasses gives the number of a class; the empty one stands for an
// attribution that was never filled.
var rowClasses = [...]stemma.Class{
	"", stemma.ClassAI, stemma.ClassAIEdited, stemma.ClassHuman, stemma.ClassGenerated, stemma.ClassUnknown,
}

type rowWriter struct {
	buf  []byte
	seen map[string]int
	err  error
}

func (w *rowWriter) attribution(a *stemma.Attribution) {
	flags := byte(0)
	if a.Merge {
		flags |= rowMerge
	}
	if len(a.Sources) > 0 {
		flags |= rowSources
	}
	if a.Conflicts != 0 {
		flags |= rowConflicts
	}
	if a.Unreadable != "" {
		flags |= rowUnreadable
	}
	if a.Ambiguous != 0 {
		flags |= rowAmbiguous
	}
	w.byte(flags)
	w.signed(a.Time)
	w.class(a.Rest)
	w.owner(a.RestOwner, len(a.Owners))
	w.count(a.Algorithm)
	w.hex(a.Input)
	w.lines(a.Lines)

	w.count(len(a.Owners))
	for i := range a.Owners {
		w.ownerEntry(&a.Owners[i])
	}
	for i := range a.Files {
		w.file(&a.Files[i], a.Owners)
	}
	if len(a.Sources) > 0 {
		w.count(len(a.Sources))
		for i := range a.Sources {
			w.source(&a.Sources[i])
		}
	}
	if a.Conflicts != 0 {
		w.count(a.Conflicts)
	}
	if a.Unreadable != "" {
		w.string(a.Unreadable)
	}
	if a.Ambiguous != 0 {
		w.count(a.Ambiguous)
	}
}

func (w *rowWriter) ownerEntry(o *stemma.Owner) {
	flags := byte(0)
	if o.Model.Exact {
		flags |= rowExact
	}
	own := o.ModelStrength != (stemma.Strength{})
	if own {
		flags |= rowModel
	}
	if o.Via != "" {
		flags |= rowVia
	}
	if o.Gone {
		flags |= rowGone
	}
	w.byte(flags)
	for _, s := range []string{
		o.Session, o.Person, o.Agent, o.AgentVersion,
		o.Model.Provider, o.Model.ID, o.Model.Raw, o.Source,
		string(o.Strength.Tier), string(o.Strength.Assertion), o.Strength.Method,
	} {
		w.string(s)
	}
	w.class(o.Class)
	w.confidence(o.Strength.Confidence)
	w.count(o.Lines)
	w.count(o.Candidate)
	if own {
		for _, s := range []string{string(o.ModelStrength.Tier), string(o.ModelStrength.Assertion), o.ModelStrength.Method} {
			w.string(s)
		}
		w.confidence(o.ModelStrength.Confidence)
	}
	if o.Via != "" {
		w.string(o.Via)
	}
}

func (w *rowWriter) file(f *stemma.FileLines, owners []stemma.Owner) {
	if f.Added > math.MaxInt64>>2 {
		w.fail("%d lines added", f.Added)
		return
	}
	head := f.Added << 2
	detailed := f.Whole || len(f.Ranges) > 0
	if detailed {
		head |= 2
	}
	if f.Generated {
		head |= 1
	}
	w.count(head)
	if !detailed {
		return
	}
	n := len(f.Ranges) << 1
	if f.Whole {
		n |= 1
	}
	w.count(n)
	end := 0
	for _, r := range f.Ranges {
		if r.Start < 0 || r.End < 0 || r.Start > math.MaxInt32 || r.End > math.MaxInt32 ||
			r.Owner < -1 || r.Owner >= len(owners) {
			w.fail("range %d-%d of owner %d", r.Start, r.End, r.Owner)
			return
		}
		w.signed(int64(r.Start) - int64(end))
		w.signed(int64(r.End) - int64(r.Start))
		end = r.End
		// Nearly every range has the class of its owner.
		who := (r.Owner + 1) << 1
		if r.Owner >= 0 && r.Class == owners[r.Owner].Class {
			w.count(who)
			continue
		}
		w.count(who | 1)
		w.class(r.Class)
	}
}

func (w *rowWriter) source(s *stemma.SourceClaim) {
	w.string(s.Source)
	w.lines(s.Lines)
	for _, n := range []int{s.Outside, s.Alone, s.Agree, s.Differ, s.Took} {
		w.count(n)
	}
	w.string(s.Problem)
}

func (w *rowWriter) lines(l stemma.Lines) {
	for _, c := range stemma.Classes {
		w.count(l.Of(c))
	}
}

func (w *rowWriter) owner(i, owners int) {
	if i < -1 || i >= owners {
		w.fail("owner %d of %d", i, owners)
		return
	}
	w.count(i + 1)
}

func (w *rowWriter) class(c stemma.Class) {
	for i, known := range rowClasses {
		if c == known {
			w.byte(byte(i))
			return
		}
	}
	w.fail("class %q", c)
}

// confidence writes the two common values in one byte.
func (w *rowWriter) confidence(f float64) {
	switch {
	case f == 0:
		w.byte(0)
	case f == 1:
		w.byte(1)
	case f > 0 && f < 1:
		w.byte(2)
		w.buf = binary.BigEndian.AppendUint64(w.buf, math.Float64bits(f))
	default:
		w.fail("confidence %v", f)
	}
}

// hex writes a digest as its bytes, and any other string as it is.
func (w *rowWriter) hex(s string) {
	raw, err := hex.DecodeString(s)
	if err != nil || hex.EncodeToString(raw) != s {
		w.count(len(s) << 1)
		w.buf = append(w.buf, s...)
		return
	}
	w.count(len(raw)<<1 | 1)
	w.buf = append(w.buf, raw...)
}

// string writes 0 and the string when it is new in this row, else the number
// of the string that it repeats.
func (w *rowWriter) string(s string) {
	if n, ok := w.seen[s]; ok {
		w.count(n)
		return
	}
	if w.seen == nil {
		w.seen = make(map[string]int)
	}
	w.seen[s] = len(w.seen) + 1
	w.count(0)
	w.count(len(s))
	w.buf = append(w.buf, s...)
}

func (w *rowWriter) byte(b byte)    { w.buf = append(w.buf, b) }
func (w *rowWriter) signed(n int64) { w.buf = binary.AppendVarint(w.buf, n) }

func (w *rowWriter) count(n int) {
	if n < 0 {
		w.fail("count %d", n)
		return
	}
	w.buf = binary.AppendUvarint(w.buf, uint64(n))
}

func (w *rowWriter) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format+": %w", append(args, stemma.ErrInvalid)...)
	}
}
