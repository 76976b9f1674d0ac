package attribution

import (
	"slices"

	"github.com/stemma-dev/stemma/internal/git"
)

// addedLine is a line that a commit added to a file.
type addedLine struct {
	line git.Line
	at   int // in the file after the commit
}

// linesOf gives the added lines of a file in order. respaced leaves out those
// that differ in white space alone from one that their hunk takes away: they
// are nobody's new lines.
func linesOf(f *git.FileDiff, respaced bool) []addedLine {
	n := 0
	for _, h := range f.Hunks {
		n += len(h.Added)
	}
	out := make([]addedLine, 0, n)
	for _, h := range f.Hunks {
		var lost map[git.Line]int
		if respaced && len(h.Removed) > 0 {
			lost = make(map[git.Line]int, len(h.Removed))
			for _, l := range h.Removed {
				lost[l]++
			}
		}
		for i, l := range h.Added {
			if lost[l] > 0 {
				lost[l]--
				continue
			}
			out = append(out, addedLine{l, h.NewStart + i})
		}
	}
	return out
}

// pair says that a line of one side is a line of the other: indexes.
type pair struct{ a, b int }

// align pairs equal lines of a and b in their order. Lines that both sides have
// once and that weigh at least anchor pin the alignment; from there it grows
// over neighbours that are equal, whatever they say. A run of pairs that weighs
// less than enough is dropped: it could be by chance. A brace or a blank is
// thus paired where its place pins it, and nowhere else.
func align(a, b []addedLine, anchor, enough int) []pair {
	anchors := longest(unique(a, b, anchor))
	if len(anchors) == 0 {
		return nil
	}
	var pairs []pair
	lastA, lastB := -1, -1 // the last that is paired
	for _, at := range anchors {
		if at.a <= lastA || at.b <= lastB {
			continue // the anchor before grew over it
		}
		begin := at
		for begin.a-1 > lastA && begin.b-1 > lastB && follows(a, b, begin.a-1, begin.b-1) {
			begin.a--
			begin.b--
		}
		end := at // it can not grow over an anchor of another place: that line is there once
		for end.a+1 < len(a) && end.b+1 < len(b) && follows(a, b, end.a, end.b) {
			end.a++
			end.b++
		}
		weight := 0
		for n := begin.a; n <= end.a; n++ {
			weight += a[n].line.Weight()
		}
		if weight >= enough {
			for n := 0; begin.a+n <= end.a; n++ {
				pairs = append(pairs, pair{begin.a + n, begin.b + n})
			}
		}
		lastA, lastB = end.a, end.b
	}
	return pairs
}

// follows reports whether the lines i and i+1 of a, and j and j+1 of b, are
// equal and next to each other in their files.
func follows(a, b []addedLine, i, j int) bool {
	return a[i].line == b[j].line && a[i+1].line == b[j+1].line &&
		a[i].at+1 == a[i+1].at && b[j].at+1 == b[j+1].at
}

// unique gives the pairs of lines that each side has once, in the order of a.
func unique(a, b []addedLine, anchor int) []pair {
	type place struct{ b, inA, inB int }
	places := make(map[git.Line]*place, len(b))
	for j, l := range b {
		if l.line.Weight() < anchor {
			continue
		}
		p := places[l.line]
		if p == nil {
			p = &place{}
			places[l.line] = p
		}
		p.inB++
		p.b = j
	}
	for _, l := range a {
		if p := places[l.line]; p != nil {
			p.inA++
		}
	}
	var pairs []pair
	for i, l := range a {
		if p := places[l.line]; p != nil && p.inA == 1 && p.inB == 1 {
			pairs = append(pairs, pair{i, p.b})
		}
	}
	return pairs
}

// longest keeps the longest run of pairs that ascends on both sides.
func longest(pairs []pair) []pair {
	ends := make([]int, 0, len(pairs)) // of the best run of each length: index of its last pair
	before := make([]int, len(pairs))
	for i, p := range pairs {
		n, _ := slices.BinarySearchFunc(ends, p.b, func(end, b int) int { return pairs[end].b - b })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	if len(ends) == 0 {
		return nil
	}
	run := make([]pair, len(ends))
	for at, n := ends[len(ends)-1], len(ends)-1; at >= 0; at, n = before[at], n-1 {
		run[n] = pairs[at]
	}
	return run
}
