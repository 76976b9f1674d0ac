package attribution

import (
	"cmp"
	"slices"

	"github.com/stemma-dev/stemma"
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

// of gives the lines of the block.
func (b Block) of(f *git.FileDiff) []git.Line {
	for _, h := range f.Hunks {
		if from := b.Line - h.NewStart; from >= 0 && from+b.Lines <= len(h.Added) {
			return h.Added[from : from+b.Lines]
		}
	}
	return nil
}

// Restored is a run of lines of a file that blame knows to be of other commits.
type Restored struct {
	Path   string
	Line   int            // first
	Owners []stemma.Owner // of each line, by [By]; a zero Owner is nobody
}

// Restore adds to what [Resolve] gave the lines that blame knows. Where both
// speak of a line, the rule that is first in order holds.
func Restore(resolved *Rewritten, target git.Diff, restored []Restored) *Rewritten {
	known := make(map[string]map[int]stemma.Owner)
	for _, run := range restored {
		of := known[run.Path]
		if of == nil {
			of = make(map[int]stemma.Owner)
			known[run.Path] = of
		}
		for i, o := range run.Owners {
			if o != (stemma.Owner{}) && (of[run.Line+i] == stemma.Owner{} || before(o, of[run.Line+i])) {
				of[run.Line+i] = o
			}
		}
	}
	out := newRewriting()
	for _, f := range target.Files {
		for _, r := range f.Ranges {
			for line := r.Start; line <= r.End; line++ {
				o, restores := known[f.Path][line]
				var owners []int
				has, _ := resolved.at(f.Path, line)
				for _, n := range has {
					owners = append(owners, out.number(resolved.Owners[n]))
				}
				if restores && (len(has) == 0 || resolved.Owners[has[0]].Gone || before(o, resolved.Owners[has[0]])) {
					owners = []int{out.number(o)}
				}
				if len(owners) > 0 {
					slices.Sort(owners)
					out.add(f.Path, line, owners)
				}
			}
		}
	}
	return out.done()
}

// before reports whether the rule of a comes before that of b.
func before(a, b stemma.Owner) bool {
	return slices.Index(ruleOrder, a.Strength.Method) < slices.Index(ruleOrder, b.Strength.Method)
}

// OwnerAt gives the owner of a line of the row's commit, and a zero Owner where
// nobody is known to have written it.
func OwnerAt(row *stemma.Attribution, path string, line int) stemma.Owner {
	i := slices.IndexFunc(row.Files, func(f stemma.FileLines) bool { return f.Path == path })
	if i < 0 {
		return stemma.Owner{}
	}
	if n := ownerIndex(&row.Files[i], line); n >= 0 {
		return row.Owners[n]
	}
	return stemma.Owner{}
}

// Lost gives what the row says of lines that come by these commits, whose
// objects are gone; nil where it says nothing.
func Lost(row *stemma.Attribution, gone func(commit string) bool) *Rewritten {
	out := newRewriting()
	for _, f := range row.Files {
		for _, r := range f.Ranges {
			if r.Owner < 0 || f.Whole || !gone(row.Owners[r.Owner].Via) {
				continue
			}
			o := row.Owners[r.Owner]
			o.Lines, o.Candidate, o.Gone = 0, 0, true
			n := out.number(o)
			for line := r.Start; line <= r.End; line++ {
				out.add(f.Path, line, []int{n})
			}
		}
	}
	return out.done()
}

// The least that a moved block says: less could be written twice.
const (
	enoughMove = 100 // weight
	linesMove  = 5
)

// revertShare is how much of what a revert adds the reverted commit took away.
const revertShare = 0.5

// Reverted gives the blocks that the target adds and that another commit took
// away from a file of the same name: what a revert brings back. It gives none
// where they are less than half of what the target adds.
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
	back, total := 0, 0
	for _, f := range target.Files {
		for _, h := range f.Hunks {
			total += weigh(h.Added)
			if weigh(h.Added) < minBlock {
				continue
			}
			places := slices.DeleteFunc(slices.Clone(lost[digestLines(h.Added)]), func(p place) bool { return !samePlace(p.path, f.Path) })
			if len(places) == 1 {
				blocks = append(blocks, Block{f.Path, h.NewStart, places[0].path, places[0].line, len(h.Added)})
				back += weigh(h.Added)
			}
		}
	}
	if float64(back) < revertShare*float64(total) {
		return nil
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
