package attribution

import (
	"cmp"
	"slices"

	"github.com/stemma-dev/stemma/internal/git"
)

// Block is a run of lines that a commit adds and that were elsewhere before.
type Block struct {
	Path    string // in the commit that adds it
	Line    int    // first
	OldPath string // where it was, before the commit that took it away
	OldLine int
	Lines   int
}

// The least that a moved block says: less could be written twice.
const (
	enoughMove = 100 // weight
	linesMove  = 5
)

// Reverted gives the blocks that the target adds and that another commit took
// away from a file of the same name: what a revert brings back.
func Reverted(target, other git.Diff) []Block {
	type place struct {
		path string
		line int
	}
	lost := make(map[string][]place)
	for _, f := range other.Files {
		from := cmp.Or(f.OldPath, f.Path)
		for _, h := range f.Hunks {
			if weigh(h.Removed) >= minBlock {
				sum := digestLines(h.Removed)
				lost[sum] = append(lost[sum], place{from, h.OldStart})
			}
		}
	}
	var blocks []Block
	for _, f := range target.Files {
		for _, h := range f.Hunks {
			if weigh(h.Added) < minBlock {
				continue
			}
			places := slices.DeleteFunc(slices.Clone(lost[digestLines(h.Added)]), func(p place) bool { return !samePlace(p.path, f.Path) })
			if len(places) == 1 {
				blocks = append(blocks, Block{f.Path, h.NewStart, places[0].path, places[0].line, len(h.Added)})
			}
		}
	}
	return blocks
}

// Moved gives the blocks that a commit takes away in one place and adds in
// another, be it another file.
func Moved(d git.Diff) []Block {
	type place struct {
		file *git.FileDiff
		hunk *git.Hunk
		n    int
		many bool
	}
	lost := make(map[git.Line]*place)
	for i := range d.Files {
		f := &d.Files[i]
		for j := range f.Hunks {
			for n, l := range f.Hunks[j].Removed {
				if l.Weight() < anchorHunk {
					continue
				}
				if p := lost[l]; p != nil {
					p.many = true
					continue
				}
				lost[l] = &place{f, &f.Hunks[j], n, false}
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	var blocks []Block
	for i := range d.Files {
		f := &d.Files[i]
		for j := range f.Hunks {
			h := &f.Hunks[j]
			for n := 0; n < len(h.Added); n++ {
				p := lost[h.Added[n]]
				if p == nil || p.many {
					continue
				}
				from, to := n, n+1
				for from > 0 && p.n-(n-from) > 0 && h.Added[from-1] == p.hunk.Removed[p.n-(n-from)-1] {
					from--
				}
				for to < len(h.Added) && p.n+to-n < len(p.hunk.Removed) && h.Added[to] == p.hunk.Removed[p.n+to-n] {
					to++
				}
				if to-from >= linesMove && weigh(h.Added[from:to]) >= enoughMove {
					blocks = append(blocks, Block{
						f.Path, h.NewStart + from, cmp.Or(p.file.OldPath, p.file.Path), p.hunk.OldStart + p.n - (n - from), to - from,
					})
				}
				n = to - 1
			}
		}
	}
	return blocks
}
