package attribution

import (
	"cmp"
	"hash"
	"maps"
	"slices"

	"github.com/stemma-dev/stemma"
)

// Rewritten is what rewrites tell of the added lines of one commit: [Resolve]
// makes it and [Commit] reads it.
type Rewritten struct {
	Owners []stemma.Owner           // each with Via and with its rule as method
	Files  map[string][]ResolvedRun // by path; sorted, apart
}

// ResolvedRun is a run of lines of a file after the commit, 1-based, inclusive,
// that has one owner, or several that contradict each other.
type ResolvedRun struct {
	Start, End int
	Owners     []int // indexes into Rewritten.Owners, ascending
}

func (r *Rewritten) has(path string) bool { return r != nil && len(r.Files[path]) > 0 }

// at gives the owners of a line, and false where rewrites do not speak of it.
func (r *Rewritten) at(path string, line int) ([]int, bool) {
	if r == nil {
		return nil, false
	}
	runs := r.Files[path]
	i, _ := slices.BinarySearchFunc(runs, line, func(run ResolvedRun, line int) int { return cmp.Compare(run.End, line) })
	if i == len(runs) || runs[i].Start > line {
		return nil, false
	}
	return runs[i].Owners, true
}

// rewriting is a Rewritten that is being made.
type rewriting struct {
	Rewritten
	index map[stemma.Owner]int
}

func newRewriting() *rewriting {
	return &rewriting{Rewritten{Files: make(map[string][]ResolvedRun)}, make(map[stemma.Owner]int)}
}

// number gives the index of an owner, who joins if he is new.
func (r *rewriting) number(o stemma.Owner) int {
	n, ok := r.index[o]
	if !ok {
		n = len(r.Owners)
		r.index[o] = n
		r.Owners = append(r.Owners, o)
	}
	return n
}

// done gives nil where no line was added.
func (r *rewriting) done() *Rewritten {
	if len(r.Files) == 0 {
		return nil
	}
	return &r.Rewritten
}

// add appends a line to the last run of its file, or begins one. Lines of a
// file come in order.
func (r *Rewritten) add(path string, line int, owners []int) {
	runs := r.Files[path]
	if n := len(runs); n > 0 && runs[n-1].End == line-1 && slices.Equal(runs[n-1].Owners, owners) {
		runs[n-1].End = line
		return
	}
	r.Files[path] = append(runs, ResolvedRun{Start: line, End: line, Owners: owners})
}

// rewrite makes the decision on a line that these owners had elsewhere.
func (w *work) rewrite(of []int) decision {
	if len(of) == 1 {
		o := w.rewritten.Owners[of[0]]
		return decision{class: o.Class, owner: w.owner(o)}
	}
	w.row.Ambiguous++
	for _, i := range of {
		o := w.rewritten.Owners[i]
		o.Class = stemma.ClassUnknown
		w.row.Owners[w.owner(o)].Candidate++
	}
	return decision{class: stemma.ClassUnknown, owner: -1, conflict: true}
}

func (r *Rewritten) digest(h hash.Hash) {
	if r == nil {
		return
	}
	for _, path := range slices.Sorted(maps.Keys(r.Files)) {
		text(h, path)
		for _, run := range r.Files[path] {
			number(h, int64(run.Start))
			number(h, int64(run.End))
			for _, i := range run.Owners {
				o := r.Owners[i]
				for _, s := range []string{o.Session, o.Person, o.Model.Raw, string(o.Class), o.Source, o.Strength.Method, o.Via} {
					text(h, s)
				}
				if o.Gone {
					number(h, 1)
				}
			}
		}
	}
}

// Resolves reports whether r has one owner for a line.
func (r *Rewritten) Resolves(path string, line int) bool {
	owners, _ := r.at(path, line)
	return len(owners) == 1 && !r.Owners[owners[0]].Gone
}
