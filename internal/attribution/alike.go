package attribution

import (
	"bytes"
	"slices"
)

// This file holds what a difference cannot tell: which of two equal lines that
// stand beside one another is the new one. A difference chooses one of several
// ways to make the new state from the old one; where another way, just as short,
// gives a line to somebody else, nobody can tell whose it is.

// maxWays is how many pairs of lines, old times new, are looked at for other ways
// in one place. Beyond it what the difference chose stands.
const maxWays = 1 << 18

// alike makes lines nobody's which by another way, just as short, have another
// owner. It comes last: what is told of a line by more than the difference is
// one of the ways.
func (s *step) alike() {
	for _, w := range s.windows() {
		old, now := s.before[w.from:w.to], s.after[w.at:w.end]
		if len(old)*len(now) <= maxWays && !slices.EqualFunc(old, now, bytes.Equal) {
			s.otherWays(w)
		}
	}
}

// windows gives the parts of both states in which another way may lead, in order:
// what changed, up to the next lines that can be told from all others.
func (s *step) windows() []hunk {
	loose := make(map[string]bool) // telling lines that came or went
	for _, h := range s.hunks {
		went := make(map[int]bool)
		for n := h.at; n < h.end; n++ {
			if s.pair[n] >= 0 {
				went[s.pair[n]] = true
			} else if Telling(s.after[n]) {
				loose[squeezed(s.after[n])] = true
			}
		}
		for i := h.from; i < h.to; i++ {
			if !went[i] && Telling(s.before[i]) {
				loose[squeezed(s.before[i])] = true
			}
		}
	}
	wall := func(n int) bool {
		return s.pair[n] >= 0 && Telling(s.after[n]) && (len(loose) == 0 || !loose[squeezed(s.after[n])])
	}
	var all []hunk
	var w hunk // the one that is open
	open := false
	closing := func(i, n int) {
		w.to, w.end = i, n
		if w.end > w.at {
			all = append(all, w)
		}
		open = false
	}
	for k, h := range s.hunks {
		i, n := h.from, h.at
		if !open {
			top := 0 // nothing above it is looked at again
			if k > 0 {
				top = s.hunks[k-1].end
			}
			for n > top && !wall(n-1) {
				i, n = i-1, n-1
			}
			w, open = hunk{from: i, at: n}, true
		}
		for n = h.at; n < h.end; n++ {
			if wall(n) && s.pair[n] >= max(w.from, h.from) && s.pair[n] < h.to {
				closing(s.pair[n], n)
				w, open = hunk{from: s.pair[n] + 1, at: n + 1}, true
			}
		}
		bottom := len(s.after)
		if k+1 < len(s.hunks) {
			bottom = s.hunks[k+1].at
		}
		i, n = h.to, h.end
		for n < bottom && !wall(n) {
			i, n = i+1, n+1
		}
		if n < bottom || k+1 == len(s.hunks) {
			closing(i, n)
		}
	}
	return all
}

// squeezed is a line without white space.
func squeezed(line []byte) string {
	text, _ := squeeze([][]byte{line})
	return string(text)
}

// otherWays looks at all shortest ways through a window.
func (s *step) otherWays(w hunk) {
	p := newPaths(s.before[w.from:w.to], s.after[w.at:w.end], s.respaced(), s.writer.Loose && s.writer.Person)
	times := make(map[string]int) // how often a text stands in the one or the other
	for _, of := range [][][]byte{p.old, p.now} {
		in := make(map[string]int)
		for _, l := range of {
			text := squeezed(l)
			in[text]++
			times[text] = max(times[text], in[text])
		}
	}
	for j := range p.now {
		n := w.at + j
		if Telling(p.now[j]) && times[squeezed(p.now[j])] < 2 {
			continue // there is no other that it could be
		}
		mark, may := s.marks[n], []Mark(nil)
		for i := 0; i <= len(p.old); i++ {
			if p.mayAdd(i, j) {
				may = append(may, s.fresh(n))
			}
			if i < len(p.old) && p.mayKeep(i, j) {
				may = append(may, s.old[w.from+i])
			}
		}
		switch {
		case len(may) == 0 || Telling(p.now[j]) && sameMark(mark, may...):
		case sameMark(may[0], may...) && !Telling(p.now[j]):
			s.marks[n] = may[0]
		default:
			s.marks[n] = doubtful(append(may, mark))
		}
	}
}

// paths are the shortest ways from old lines to new ones: those with the fewest
// lines deleted or added, and of these with the fewest places in which they do so.
type paths struct {
	old, now [][]byte
	respaced bool // a change of white space is none
	loose    bool // it may have been more than one change
	width    int
	// What it takes to come to a place, and from it to the end, by whether the step
	// before the place kept a line ([0]) or changed one ([1]).
	to, from [2][]int64
	most     int64 // what a way may take
}

const (
	perLine = 1 << 32 // before the number of places, which is less
	never   = 1 << 60
)

func newPaths(old, now [][]byte, respaced, loose bool) *paths {
	p := &paths{old: old, now: now, respaced: respaced, loose: loose, width: len(now) + 1}
	size := (len(old) + 1) * p.width
	for kind := range 2 {
		p.to[kind], p.from[kind] = slices.Repeat([]int64{never}, size), slices.Repeat([]int64{never}, size)
	}
	p.to[0][0] = 0
	for i := 0; i <= len(old); i++ {
		for j := 0; j <= len(now); j++ {
			k := i*p.width + j
			if i > 0 {
				p.to[1][k] = min(p.to[1][k], p.change(k-p.width))
			}
			if j > 0 {
				p.to[1][k] = min(p.to[1][k], p.change(k-1))
			}
			if i > 0 && j > 0 {
				p.to[0][k] = p.reach(k-p.width-1) + p.keep(i-1, j-1)
			}
		}
	}
	for i := len(old); i >= 0; i-- {
		for j := len(now); j >= 0; j-- {
			k := i*p.width + j
			changed := int64(never)
			if i < len(old) {
				changed = min(changed, p.from[1][k+p.width]+perLine)
			}
			if j < len(now) {
				changed = min(changed, p.from[1][k+1]+perLine)
			}
			kept := int64(never)
			if i < len(old) && j < len(now) {
				kept = p.from[0][k+p.width+1] + p.keep(i, j)
			}
			if i == len(old) && j == len(now) {
				kept = 0
			}
			p.from[0][k], p.from[1][k] = min(kept, changed+1), min(kept, changed)
		}
	}
	p.most = p.bound()
	return p
}

// reach is what it takes to come to a place, and change to change a line there.
func (p *paths) reach(k int) int64  { return min(p.to[0][k], p.to[1][k]) }
func (p *paths) change(k int) int64 { return min(p.to[0][k]+1, p.to[1][k]) + perLine }

// keep is what it takes to take an old line for a new one: less than to delete it
// and to add it anew, where they differ in white space only, and nothing where a
// formatter was at work.
func (p *paths) keep(i, j int) int64 {
	switch {
	case bytes.Equal(p.old[i], p.now[j]), p.respaced && same(p.old[i], p.now[j]):
		return 0
	case same(p.old[i], p.now[j]):
		return perLine
	default:
		return never
	}
}

// bound is what a way may take. Who made more than one change, or deleted lines and
// added others, may have done so in one more place than he had to; what a tool
// only added or only deleted is taken for one piece.
func (p *paths) bound() int64 {
	least := p.from[0][0]
	kept := (int64(len(p.old)+len(p.now)) - least/perLine) / 2
	if p.loose || int64(len(p.old)) > kept && int64(len(p.now)) > kept {
		return least + 1
	}
	return least
}

// mayKeep reports whether a shortest way takes the old line i for the new line j.
func (p *paths) mayKeep(i, j int) bool {
	k := i*p.width + j
	return p.reach(k)+p.keep(i, j)+p.from[0][k+p.width+1] <= p.most
}

// mayAdd reports whether a shortest way adds the new line j before the old line i.
func (p *paths) mayAdd(i, j int) bool {
	k := i*p.width + j
	return p.change(k)+p.from[1][k+1] <= p.most
}

// respaced reports whether lines that can be told from others changed in white
// space only.
func (s *step) respaced() bool {
	for n, i := range s.pair {
		if i >= 0 && !bytes.Equal(s.before[i], s.after[n]) && Telling(s.after[n]) {
			return true
		}
	}
	return false
}

// fresh is the mark of a line if it was made in this step.
func (s *step) fresh(n int) Mark {
	if s.pair[n] >= 0 {
		return s.writer.mark()
	}
	return s.marks[n]
}

// sameMark reports whether a mark and all others give a line to the same.
func sameMark(m Mark, of ...Mark) bool {
	return !slices.ContainsFunc(of, func(o Mark) bool { return o.Owner != m.Owner || o.Edited != m.Edited })
}

// doubtful is the mark of a line that is one of several.
func doubtful(of []Mark) Mark {
	m := Mark{Owner: Nobody, Edited: Base}
	for _, o := range of {
		m.May = append(m.May, o.May...)
		if o.Owner >= 0 {
			m.May = append(m.May, o.Owner)
		}
	}
	slices.Sort(m.May)
	m.May = slices.Compact(m.May)
	return m
}
