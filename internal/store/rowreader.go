package store

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/stemma-dev/stemma"
)

// rowReader reads a row; after the first error every method gives zero values,
// so that only the end of a paragraph needs to look.
type rowReader struct {
	buf  []byte
	at   int
	seen []string
	err  error
}

func (r *rowReader) paths(dst []int64) []int64 {
	if len(r.buf) > MaxRow {
		r.fail("%d bytes, over the limit of %d", len(r.buf), MaxRow)
		return dst
	}
	if v := r.byte(); r.err == nil && v != rowVersion {
		r.fail("version %d, want %d", v, rowVersion)
	}
	// A file has at least one byte of path id and one of its own.
	n := r.list(2)
	last := int64(0)
	for range n {
		last += r.signed()
		if r.err != nil {
			return dst
		}
		dst = append(dst, last)
	}
	return dst
}

func (r *rowReader) attribution(a *stemma.Attribution, files int) {
	flags := r.flags(rowMerge | rowSources | rowConflicts | rowUnreadable | rowAmbiguous)
	a.Merge = flags&rowMerge != 0
	a.Time = r.signed()
	a.Rest = r.class()
	rest := r.count()
	a.Algorithm = r.count()
	a.Input = r.hex()
	a.Lines = r.lines()

	// An owner has 16 fields of at least one byte each.
	if n := r.list(16); n > 0 {
		a.Owners = make([]stemma.Owner, n)
	}
	for i := range a.Owners {
		r.ownerEntry(&a.Owners[i])
	}
	if rest > len(a.Owners) {
		r.fail("owner %d of %d", rest-1, len(a.Owners))
	}
	a.RestOwner = rest - 1
	if r.err == nil && files > 0 {
		a.Files = make([]stemma.FileLines, files)
	}
	for i := range a.Files {
		r.file(&a.Files[i], a.Owners)
	}
	if flags&rowSources != 0 {
		if n := r.list(12); n > 0 {
			a.Sources = make([]stemma.SourceClaim, n)
		}
		for i := range a.Sources {
			r.source(&a.Sources[i])
		}
	}
	if flags&rowConflicts != 0 {
		a.Conflicts = r.count()
	}
	if flags&rowUnreadable != 0 {
		a.Unreadable = r.string()
	}
	if flags&rowAmbiguous != 0 {
		a.Ambiguous = r.count()
	}
}

func (r *rowReader) ownerEntry(o *stemma.Owner) {
	flags := r.flags(rowExact | rowModel | rowVia | rowGone)
	o.Model.Exact, o.Gone = flags&rowExact != 0, flags&rowGone != 0
	for _, s := range []*string{
		&o.Session, &o.Person, &o.Agent, &o.AgentVersion,
		&o.Model.Provider, &o.Model.ID, &o.Model.Raw, &o.Source,
		(*string)(&o.Strength.Tier), (*string)(&o.Strength.Assertion), &o.Strength.Method,
	} {
		*s = r.string()
	}
	o.Class = r.class()
	o.Strength.Confidence = r.confidence()
	o.Lines = r.count()
	o.Candidate = r.count()
	if flags&rowModel != 0 {
		for _, s := range []*string{(*string)(&o.ModelStrength.Tier), (*string)(&o.ModelStrength.Assertion), &o.ModelStrength.Method} {
			*s = r.string()
		}
		o.ModelStrength.Confidence = r.confidence()
	}
	if flags&rowVia != 0 {
		o.Via = r.string()
	}
}

func (r *rowReader) file(f *stemma.FileLines, owners []stemma.Owner) {
	head := r.count()
	f.Added = head >> 2
	f.Generated = head&1 != 0
	if head&2 == 0 {
		return
	}
	// A range has at least three bytes, and one bit of the count is a flag.
	n := r.count()
	f.Whole = n&1 != 0
	n >>= 1
	if r.err == nil && n > (len(r.buf)-r.at)/3 {
		r.fail("%d ranges in %d bytes", n, len(r.buf)-r.at)
	}
	if r.err != nil || n == 0 {
		return
	}
	f.Ranges = make([]stemma.OwnedRange, n)
	end := int64(0)
	for i := range f.Ranges {
		start := end + r.signed()
		end = start + r.signed()
		who := r.count()
		owner := who>>1 - 1
		switch {
		case r.err != nil:
			return
		case start < 0 || end < 0 || start > math.MaxInt32 || end > math.MaxInt32:
			r.fail("range %d-%d", start, end)
			return
		case owner >= len(owners):
			r.fail("owner %d of %d", owner, len(owners))
			return
		}
		f.Ranges[i] = stemma.OwnedRange{Start: int(start), End: int(end), Owner: owner}
		switch {
		case who&1 != 0:
			f.Ranges[i].Class = r.class()
		case owner < 0:
			r.fail("range %d-%d without class", start, end)
		default:
			f.Ranges[i].Class = owners[owner].Class
		}
	}
}

func (r *rowReader) source(s *stemma.SourceClaim) {
	s.Source = r.string()
	s.Lines = r.lines()
	for _, n := range []*int{&s.Outside, &s.Alone, &s.Agree, &s.Differ, &s.Took} {
		*n = r.count()
	}
	s.Problem = r.string()
}

func (r *rowReader) lines() (l stemma.Lines) {
	for _, c := range stemma.Classes {
		l.Count(c, r.count())
	}
	return l
}

func (r *rowReader) class() stemma.Class {
	n := r.byte()
	if int(n) >= len(rowClasses) {
		r.fail("class %d", n)
		return ""
	}
	return rowClasses[n]
}

func (r *rowReader) confidence() float64 {
	switch b := r.byte(); b {
	case 0, 1:
		return float64(b)
	case 2:
		raw := r.take(8)
		if r.err != nil {
			return 0
		}
		f := math.Float64frombits(binary.BigEndian.Uint64(raw))
		if !(f > 0 && f < 1) {
			r.fail("confidence %v", f)
			return 0
		}
		return f
	default:
		r.fail("confidence form %d", b)
		return 0
	}
}

func (r *rowReader) hex() string {
	n := r.count()
	raw := r.take(n >> 1)
	if n&1 != 0 {
		return hex.EncodeToString(raw)
	}
	return string(raw)
}

func (r *rowReader) string() string {
	n := r.count()
	if n == 0 {
		s := string(r.take(r.count()))
		r.seen = append(r.seen, s)
		return s
	}
	if n > len(r.seen) {
		r.fail("string %d of %d", n, len(r.seen))
		return ""
	}
	return r.seen[n-1]
}

// list reads the length of a list whose entries take at least size bytes each,
// so that a few hostile bytes cannot ask for a large allocation.
func (r *rowReader) list(size int) int {
	n := r.count()
	if r.err == nil && n > (len(r.buf)-r.at)/size {
		r.fail("%d entries in %d bytes", n, len(r.buf)-r.at)
		return 0
	}
	return n
}

func (r *rowReader) count() int {
	if r.err != nil {
		return 0
	}
	n, size := binary.Uvarint(r.buf[r.at:])
	if size <= 0 || n > math.MaxInt64 {
		r.fail("no number")
		return 0
	}
	r.at += size
	return int(n)
}

func (r *rowReader) signed() int64 {
	if r.err != nil {
		return 0
	}
	n, size := binary.Varint(r.buf[r.at:])
	if size <= 0 {
		r.fail("no number")
		return 0
	}
	r.at += size
	return n
}

func (r *rowReader) byte() byte {
	b := r.take(1)
	if r.err != nil {
		return 0
	}
	return b[0]
}

// flags reads a byte of flags; one that nobody writes is damage.
func (r *rowReader) flags(known byte) byte {
	b := r.byte()
	if b&^known != 0 {
		r.fail("flags %#x", b)
	}
	return b & known
}

func (r *rowReader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.buf)-r.at {
		r.fail("%d bytes wanted, %d left", n, len(r.buf)-r.at)
		return nil
	}
	b := r.buf[r.at : r.at+n]
	r.at += n
	return b
}

func (r *rowReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("row byte %d: %s: %w", r.at, fmt.Sprintf(format, args...), stemma.ErrInvalid)
	}
}
