package attribution

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// resolution is the work of one [Resolve].
type resolution struct {
	target Version
	known  Known

	files   []targetFile
	byPath  map[string]int // indexes into files
	byName  map[string]int // what fileAt gave; -1 is none
	byBlob  map[string][]int
	byPatch map[string][]int
	shapes  map[patchShape]bool // of the patches in byPatch
	lines   map[git.Line]bool   // that the target adds, and that say something
	signed  map[signedLine]int
	length  patchLength         // of signed
	weight  int                 // of lines
	places  map[int][]addedLine // what moves gave
}

// targetFile is a file of the target and what is claimed of its added lines.
type targetFile struct {
	*git.FileDiff
	lines  []addedLine
	cells  []cell // for each of lines
	weight int
}

// cell is what the first rule that speaks of a line says of it.
type cell struct {
	rule   int // index into ruleOrder
	claims []claimed
}

type claimed struct {
	owner *stemma.Owner
	near  bool  // the two commits have one author line
	time  int64 // of the commit it comes by
}

// signedLine is a line of a patch: added or taken away.
type signedLine struct {
	line  git.Line
	added bool
}

// usable reports whether a difference holds lines to compare.
func usable(d git.Diff) bool {
	return d.Unreadable == "" && slices.ContainsFunc(d.Files, func(f git.FileDiff) bool { return len(f.Hunks) > 0 })
}

func newResolution(target Version, known Known) *resolution {
	r := &resolution{
		target: target, known: known,
		byPath: make(map[string]int), byName: make(map[string]int), shapes: make(map[patchShape]bool), byBlob: make(map[string][]int), byPatch: make(map[string][]int),
		lines: make(map[git.Line]bool), signed: make(map[signedLine]int),
	}
	eachSigned(target.Diff, func(l signedLine) {
		r.signed[l]++
		r.length.count(l)
	})
	for i := range target.Diff.Files {
		f := &target.Diff.Files[i]
		if known.Generated != nil && known.Generated(f.Path) || len(f.Hunks) == 0 || f.Added == 0 {
			continue
		}
		t := targetFile{FileDiff: f, lines: linesOf(f, false)}
		t.cells = make([]cell, len(t.lines))
		for _, l := range t.lines {
			t.weight += l.line.Weight()
			if l.line.Weight() >= anchorPair && !r.lines[l.line] {
				r.lines[l.line] = true
				r.weight += l.line.Weight()
			}
		}
		n := len(r.files)
		r.files = append(r.files, t)
		r.byPath[f.Path] = n
		if f.New != "" {
			r.byBlob[f.New] = append(r.byBlob[f.New], n)
		}
		patch := patchID(f)
		r.byPatch[patch] = append(r.byPatch[patch], n)
		r.shapes[shapeOf(f)] = true
	}
	return r
}

// patchShape is what two patches that are the same have in common at least: it
// is told without a digest.
type patchShape struct{ hunks, removed, added int }

func shapeOf(f *git.FileDiff) patchShape {
	shape := patchShape{hunks: len(f.Hunks)}
	for _, h := range f.Hunks {
		shape.removed += len(h.Removed)
		shape.added += len(h.Added)
	}
	return shape
}

// patchID is what git patch-id --stable would say of one file's difference
// without context lines and names: the lines taken away and added, hunk by hunk,
// without white space and without their places.
//
// It is made from the difference that is read anyway, and not by git patch-id,
// which wants a second one with context, knows no single files, and calls two
// patches different when a neighbouring line changed.
func patchID(f *git.FileDiff) string {
	var b strings.Builder
	for _, h := range f.Hunks {
		b.WriteString(digestLines(h.Removed))
		b.WriteString(digestLines(h.Added))
	}
	return b.String()
}

// eachSigned gives the lines of a patch that say something.
func eachSigned(d git.Diff, take func(signedLine)) {
	for _, f := range d.Files {
		for _, h := range f.Hunks {
			for _, l := range h.Removed {
				if l.Weight() > 0 {
					take(signedLine{l, false})
				}
			}
			for _, l := range h.Added {
				if l.Weight() > 0 {
					take(signedLine{l, true})
				}
			}
		}
	}
}

// patchLength is how many lines of a patch say something.
type patchLength struct{ all, added int }

func (n *patchLength) count(l signedLine) {
	n.all++
	if l.added {
		n.added++
	}
}

// share is the part of the lines of two patches that they have in common.
func share(common, a, b int) float64 {
	if a+b == 0 {
		return 0
	}
	return 2 * float64(common) / float64(a+b)
}

// claim notes that a line of the target is a line of another commit.
func (r *resolution) claim(file, line int, rule string, c claimed) {
	n := slices.Index(ruleOrder, rule)
	at := &r.files[file].cells[line]
	switch {
	case c.owner == nil:
		return // nobody is known to have written it
	case len(at.claims) == 0 || n < at.rule:
		at.rule, at.claims = n, at.claims[:0]
	case n > at.rule:
		return
	}
	at.claims = append(at.claims, c)
}

// series claims what the commits of one series, youngest first, tell.
func (r *resolution) series(of []*Origin) {
	kin := of[0].SameTree || r.kin(of)
	final := make(map[string]string) // path at the time of an origin -> path at the end
	names := make([][]string, len(of))
	for i, o := range of {
		names[i] = make([]string, len(o.Diff.Files))
		for k, f := range o.Diff.Files {
			names[i][k] = cmp.Or(final[f.Path], f.Path)
		}
		for k, f := range o.Diff.Files {
			if f.OldPath != "" {
				final[f.OldPath] = names[i][k]
			}
		}
	}
	owners := make([]*owners, len(of))
	for i, o := range of {
		owners[i] = ownersOf(o.Row)
		near := Near(o.Commit, r.target.Commit)
		if owners[i] != nil {
			r.exact(o, owners[i], names[i], kin || near, near)
		}
		if owners[i] != nil && o.History {
			r.moved(o, owners[i], near)
		}
		if o.History || owners[i] == nil {
			continue
		}
		if r.paired(o.Diff, near) {
			r.pair(o, owners[i], names[i], near)
		}
	}
	if kin && !of[0].History {
		r.hunks(of, owners, names)
	}
}

// paired reports whether a commit differs so little from the target that the two
// are one commit, rewritten: in what they take away and add, and in what they add.
func (r *resolution) paired(d git.Diff, near bool) bool {
	var theirs, common patchLength
	eachSigned(d, theirs.count)
	if !near && share(min(r.length.all, theirs.all), r.length.all, theirs.all) < pairShare {
		return false // however much of the shorter one is in the longer
	}
	met := make(map[signedLine]int) // how often, of those that the target has as well
	eachSigned(d, func(l signedLine) {
		if n := r.signed[l]; n > 0 && met[l] < n {
			met[l]++
			common.count(l)
		}
	})
	all := share(common.all, r.length.all, theirs.all)
	if near {
		return all >= pairShareNear
	}
	added := share(common.added, r.length.added, theirs.added)
	return min(all, added) >= pairShare && min(r.length.all, theirs.all) >= pairLines
}

// Near reports whether two commits have one author line: git keeps it when it
// rewrites a commit.
func Near(a, b *git.Commit) bool {
	return a.Author.Time > 0 && a.Author == b.Author
}

// kin reports whether the target shares so much with a series that it can be
// made from it.
func (r *resolution) kin(of []*Origin) bool {
	if slices.ContainsFunc(of, func(o *Origin) bool { return Near(o.Commit, r.target.Commit) }) {
		return true
	}
	common := weightOf(of, func(l git.Line) bool { return r.lines[l] })
	if common < kinWeight {
		return false
	}
	if float64(common) >= kinShare*float64(r.weight) {
		return true
	}
	all := weightOf(of, func(git.Line) bool { return true })
	return float64(common) >= kinShare*float64(all)
}

// weightOf is the weight of the lines of a series that count, each line once.
func weightOf(of []*Origin, counts func(git.Line) bool) int {
	seen := make(map[git.Line]bool)
	weight := 0
	for _, o := range of {
		for _, f := range o.Diff.Files {
			for _, h := range f.Hunks {
				for _, l := range h.Added {
					if l.Weight() >= anchorPair && counts(l) && !seen[l] {
						seen[l] = true
						weight += l.Weight()
					}
				}
			}
		}
	}
	return weight
}

// shares reports whether a file adds a line of at least this weight that the
// target adds as well: without one, nothing of it is aligned.
func (r *resolution) shares(g *git.FileDiff, anchor int) bool {
	for _, h := range g.Hunks {
		for _, l := range h.Added {
			if l.Weight() >= anchor && r.lines[l] {
				return true
			}
		}
	}
	return false
}

// exact claims the lines of files that are the same blob or the same patch.
func (r *resolution) exact(o *Origin, who *owners, names []string, kin, near bool) {
	for i := range o.Diff.Files {
		g := &o.Diff.Files[i]
		if len(g.Hunks) == 0 || g.Added == 0 || !who.has(g.Path) {
			continue
		}
		enough := func(n int) bool {
			f := &r.files[n]
			return f.weight >= strangeFile || kin && samePlace(f.Path, names[i])
		}
		var same []int
		if r.shapes[shapeOf(g)] {
			same = r.byPatch[patchID(g)]
		}
		for _, n := range same {
			f := &r.files[n]
			if !enough(n) || !r.bestPlace(same, n, names[i]) {
				continue
			}
			rule := RulePatch
			if f.New == g.New && f.Old == g.Old {
				rule = RuleBlob
			}
			for j, l := range linesOf(g, false) {
				r.claim(n, j, rule, claimed{who.at(g.Path, l.at, rule), near, o.Commit.Committer.Time})
			}
		}
		for _, n := range r.byBlob[g.New] {
			if !enough(n) || !r.bestPlace(r.byBlob[g.New], n, names[i]) {
				continue
			}
			for _, l := range linesOf(g, false) {
				if j, ok := r.files[n].index(l.at); ok {
					r.claim(n, j, RuleBlob, claimed{who.at(g.Path, l.at, RuleBlob), near, o.Commit.Committer.Time})
				}
			}
		}
	}
}

// bestPlace reports whether no other file of those that match has the name that
// the origin's file has, where this one has not.
func (r *resolution) bestPlace(all []int, n int, name string) bool {
	if samePlace(r.files[n].Path, name) {
		return true
	}
	return !slices.ContainsFunc(all, func(m int) bool { return samePlace(r.files[m].Path, name) })
}

// samePlace reports whether two paths are one, or one is the other below a
// folder, as after a subtree merge.
func samePlace(a, b string) bool {
	return a == b || below(a, b) || below(b, a)
}

func below(path, name string) bool {
	folder, ok := strings.CutSuffix(path, name)
	return ok && strings.HasSuffix(folder, "/")
}

// index gives the index of an added line by its place.
func (f *targetFile) index(at int) (int, bool) {
	return slices.BinarySearchFunc(f.lines, at, func(l addedLine, at int) int { return cmp.Compare(l.at, at) })
}

// fileAt gives the target's file that has this name, or has it below a folder.
func (r *resolution) fileAt(name string) (int, bool) {
	n, known := r.byName[name]
	if !known {
		n = r.findFile(name)
		r.byName[name] = n
	}
	return n, n >= 0
}

func (r *resolution) findFile(name string) int {
	if n, ok := r.byPath[name]; ok {
		return n
	}
	found := -1
	for n := range r.files {
		if samePlace(r.files[n].Path, name) {
			if found >= 0 {
				return -1 // two: neither
			}
			found = n
		}
	}
	return found
}

// pair claims what is aligned between two commits that are one, rewritten.
func (r *resolution) pair(o *Origin, who *owners, names []string, near bool) {
	for i := range o.Diff.Files {
		g := &o.Diff.Files[i]
		n, ok := r.fileAt(names[i])
		if !ok || !who.has(g.Path) || !r.shares(g, anchorPair) {
			continue
		}
		theirs := linesOf(g, false)
		for _, p := range align(r.files[n].lines, theirs, anchorPair, enoughPair) {
			r.claim(n, p.a, RulePair, claimed{who.at(g.Path, theirs[p.b].at, RulePair), near, o.Commit.Committer.Time})
		}
	}
}

// moved claims what the target takes away in one place and adds in another,
// where a commit that it builds on had added it.
func (r *resolution) moved(o *Origin, who *owners, near bool) {
	for n, ours := range r.moves() {
		for i := range o.Diff.Files {
			g := &o.Diff.Files[i]
			if !who.has(g.Path) || !r.shares(g, anchorHunk) {
				continue
			}
			theirs := linesOf(g, true)
			for _, p := range align(ours, theirs, anchorHunk, enoughMove) {
				if j, ok := r.files[n].index(ours[p.a].at); ok {
					r.claim(n, j, RuleMove, claimed{who.at(g.Path, theirs[p.b].at, RuleMove), near, o.Commit.Committer.Time})
				}
			}
		}
	}
}

// moves gives, by file, the lines of the target that it takes away elsewhere.
func (r *resolution) moves() map[int][]addedLine {
	if r.places != nil {
		return r.places
	}
	r.places = make(map[int][]addedLine)
	for _, b := range Moved(r.target.Diff) {
		n, ok := r.byPath[b.Path]
		if !ok {
			continue
		}
		for i := range b.Lines {
			if j, ok := r.files[n].index(b.Line + i); ok {
				r.places[n] = append(r.places[n], r.files[n].lines[j])
			}
		}
	}
	return r.places
}

// hunks claims the blocks that the target has from a series. The youngest that
// has a block is asked, also where it has no owner for it.
func (r *resolution) hunks(of []*Origin, who []*owners, names [][]string) {
	rule := RuleHunk
	if of[0].SameTree {
		rule = RuleSquash
	}
	near := slices.ContainsFunc(of, func(o *Origin) bool { return Near(o.Commit, r.target.Commit) })
	open := make(map[int][]int) // file -> indexes of lines that no younger commit has
	for i, o := range of {
		if !near && !of[0].SameTree && o.Commit.Author.Time > r.target.Commit.Author.Time {
			continue // the target was written before: who had a line first is not told
		}
		for k := range o.Diff.Files {
			g := &o.Diff.Files[k]
			n, ok := r.fileAt(names[i][k])
			if !ok || !r.shares(g, anchorHunk) {
				continue
			}
			left, begun := open[n]
			if !begun {
				for j := range r.files[n].lines {
					left = append(left, j)
				}
			}
			ours := make([]addedLine, len(left))
			for j, at := range left {
				ours[j] = r.files[n].lines[at]
			}
			theirs := linesOf(g, true)
			taken := make(map[int]bool)
			for _, p := range align(ours, theirs, anchorHunk, enoughHunk) {
				taken[left[p.a]] = true
				if who[i] != nil {
					r.claim(n, left[p.a], rule, claimed{who[i].at(g.Path, theirs[p.b].at, rule), Near(o.Commit, r.target.Commit), o.Commit.Committer.Time})
				}
			}
			open[n] = slices.DeleteFunc(left, func(j int) bool { return taken[j] })
		}
	}
}

// result joins the claims on each line.
func (r *resolution) result() *Rewritten {
	out := newRewriting()
	numbers := make(map[*stemma.Owner]int)
	slices.SortFunc(r.files, func(a, b targetFile) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range r.files {
		for j, c := range f.cells {
			var owners []int
			for _, o := range settle(c.claims) {
				n, ok := numbers[o]
				if !ok {
					n = out.number(*o)
					numbers[o] = n
				}
				owners = append(owners, n)
			}
			if len(owners) == 0 {
				lost, _ := r.known.Lost.at(f.Path, f.lines[j].at)
				for _, n := range lost {
					o := r.known.Lost.Owners[n]
					o.Gone = true
					owners = append(owners, out.number(o))
				}
			}
			if len(owners) > 0 {
				slices.Sort(owners)
				out.add(f.Path, f.lines[j].at, owners)
			}
		}
	}
	return out.done()
}

// settle gives the one owner that all claims on a line name, by the way that
// says most, or each of several. Where a commit with the target's author line
// speaks, the others do not.
func settle(claims []claimed) []*stemma.Owner {
	if slices.ContainsFunc(claims, func(c claimed) bool { return c.near }) {
		claims = slices.DeleteFunc(claims, func(c claimed) bool { return !c.near })
	}
	slices.SortFunc(claims, func(a, b claimed) int {
		return cmp.Or(cmp.Compare(b.time, a.time), strings.Compare(a.owner.Via, b.owner.Via))
	})
	var owners []*stemma.Owner
	for _, c := range claims {
		same := func(o *stemma.Owner) bool {
			return o.Session == c.owner.Session && o.Person == c.owner.Person && o.Class == c.owner.Class
		}
		if !slices.ContainsFunc(owners, same) {
			owners = append(owners, c.owner)
		}
	}
	return owners
}
