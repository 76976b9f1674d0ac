package git

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"iter"
)

// Line stands for the content of one line without its white space, as git
// patch-id sees it: two lines that differ in white space alone are one. It is
// 58 bits of a SHA-256 and the line's weight, and the same on every machine.
type Line uint64

// Weight is how many letters, digits and bytes beyond ASCII the line has, at
// most 63: how much it says. A brace or a blank line has none.
func (l Line) Weight() int { return int(l & maxWeight) }

const maxWeight = 63

// Hunk is a run of lines that a commit took away and what it put there.
type Hunk struct {
	// OldStart is the first line of Removed in the file before the commit, or
	// the line after which Added was put where nothing was removed. It is 0 in
	// a merge, whose Removed is empty.
	OldStart int
	NewStart int // as OldStart, of Added in the file after the commit
	Removed  []Line
	Added    []Line
}

// maxPatchLines is how many lines of one commit are kept. A commit over it, such
// as one that takes in a whole vendored tree, has no Hunks.
const maxPatchLines = 1 << 20

// Patches is Added with the lines themselves: Hunks of each file. A commit that
// changes more than a million lines has none.
func (r *Repo) Patches(ctx context.Context, commits iter.Seq[string], workers int) iter.Seq2[Diff, error] {
	return r.added(ctx, commits, workers, true)
}

// lineSum makes a Line from the content of one as it comes.
type lineSum struct {
	hash   hash.Hash
	buf    [256]byte
	sum    [sha256.Size]byte
	n      int // bytes in buf
	hashed bool
	weight int
}

func (s *lineSum) add(content []byte) {
	for _, c := range content {
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			continue
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80:
			s.weight++
		}
		if s.n == len(s.buf) {
			s.flush()
		}
		s.buf[s.n] = c
		s.n++
	}
}

func (s *lineSum) flush() {
	if s.hash == nil {
		s.hash = sha256.New()
	}
	if !s.hashed {
		s.hash.Reset()
		s.hashed = true
	}
	s.hash.Write(s.buf[:s.n])
	s.n = 0
}

// line gives the line that was added up, and begins the next.
func (s *lineSum) line() Line {
	var sum []byte
	if s.hashed {
		s.flush()
		sum = s.hash.Sum(s.sum[:0])
	} else {
		s.sum = sha256.Sum256(s.buf[:s.n])
		sum = s.sum[:]
	}
	l := Line(binary.BigEndian.Uint64(sum))&^maxWeight | Line(min(s.weight, maxWeight))
	s.n, s.weight, s.hashed = 0, 0, false
	return l
}

// LineOf gives the Line of a content that has no line end, or one.
func LineOf(content []byte) Line {
	var s lineSum
	s.add(content)
	return s.line()
}

// content passes over one line with signs in its first columns, and gives the
// first byte and, where lines are wanted, what follows the signs.
func (p *diffParser) content(columns int) (byte, Line, error) {
	if !p.wantLines {
		first, err := p.skip()
		return first, 0, err
	}
	part, err := p.r.ReadSlice('\n')
	if len(part) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, err
	}
	first := part[0]
	p.offset += int64(len(part))
	p.sum.add(part[min(columns, len(part)):])
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = p.r.ReadSlice('\n')
		p.offset += int64(len(part))
		p.sum.add(part)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return first, p.sum.line(), err
}

// beginHunk gives a hunk to fill; it is part of its file from endHunk on.
func (p *diffParser) beginHunk(from, to int) *Hunk {
	p.cur.hunk = Hunk{OldStart: from, NewStart: to}
	return &p.cur.hunk
}

// keep adds a line to a side of the hunk.
func (p *diffParser) keep(side *[]Line, l Line) {
	if !p.wantLines || p.file.Submodule {
		return
	}
	if p.cur.lines++; p.cur.lines > maxPatchLines {
		return
	}
	*side = append(*side, l)
}

func (p *diffParser) endHunk(h *Hunk) {
	switch {
	case p.cur.lines > maxPatchLines:
		for i := range p.cur.files {
			p.cur.files[i].Hunks = nil
		}
	case len(h.Removed)+len(h.Added) > 0:
		p.file.Hunks = append(p.file.Hunks, *h)
	}
}
