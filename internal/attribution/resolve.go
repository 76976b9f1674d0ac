package attribution

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// The rules by which a line of a commit without evidence of its own is known to
// be a line of another commit, the strongest first. A line is resolved by the
// first rule that speaks of it; each is the method of the facts it concludes.
const (
	// RuleBlob: the file is the same blob after both commits, so that the line
	// is the same line; or both made the same blob out of the same blob.
	RuleBlob = "same blob"
	// RulePatch: both commits make the same difference in the file, white space
	// and place left aside, as git patch-id --stable judges it.
	RulePatch = "same patch"
	// RuleRevert: the commit brings back a block that another had taken away;
	// its lines return to whom they had belonged to.
	RuleRevert = "revert"
	// RulePair: both commits have one author line, or differ so little that
	// git range-diff would pair them; their added lines are aligned.
	RulePair = "range-diff pair"
	// RuleSquash: the commit's tree is the tree of the head of other commits,
	// so that it is these in one; their differences are replayed.
	RuleSquash = "squash"
	// RuleHunk: the commit shares much with a series of commits; a block of its
	// lines is aligned with one that a commit of the series added.
	RuleHunk = "hunk"
	// RuleMove: the commit takes the block away in another place.
	RuleMove = "moved block"
)

// ruleOrder and ruleConfidence say which rule comes first and how sure it is.
// The confidence of a fact is never above that of the evidence it rests on.
var (
	ruleOrder      = []string{RuleBlob, RulePatch, RuleRevert, RulePair, RuleSquash, RuleHunk, RuleMove}
	ruleConfidence = map[string]float64{
		RuleBlob: 0.99, RulePatch: 0.97, RuleRevert: 0.95, RulePair: 0.9,
		RuleSquash: 0.95, RuleHunk: 0.8, RuleMove: 0.85,
	}
)

// RuleConfidence gives how sure a rule is, between 0 and 1; 0 for what is none.
func RuleConfidence(rule string) float64 { return ruleConfidence[rule] }

// The thresholds. They lean towards unknown.
const (
	anchorPair    = 6   // weight of a line that pins an alignment of a pair
	enoughPair    = 6   // weight of a block of it
	anchorHunk    = 12  // the same where only a series is known
	enoughHunk    = 40  // weight of a block of it
	strangeFile   = 60  // weight of a file's added lines whose same patch is no chance
	kinWeight     = 120 // weight that a commit and a series have in common
	kinShare      = 0.5 // of the weight of the smaller of both
	pairShare     = 0.6 // of the lines of both that a pair has in common
	pairShareNear = 0.2 // the same where the author line is one
	pairLines     = 4   // lines that say something, of a pair with two author lines
)

// Version is one commit as far as rewrites are told by it.
type Version struct {
	Commit *git.Commit
	Diff   git.Diff // as git.Repo.Patches gives it
	// Row is the commit's attribution. It is nil, or without owners of its own
	// evidence, where the commit is no origin but part of a series.
	Row *stemma.Attribution
}

// Origin is a commit that lines may come from.
type Origin struct {
	Version
	// Series tells which origins build on one another: those of one number, in
	// the order of Age. Of each line the youngest that has it is asked.
	Series, Age int
	// History says that the commit is part of the history that the target is
	// part of: only what is wholly the same is its again.
	History bool
	// SameTree says that the series has a commit with the target's tree: the
	// target is the series in one.
	SameTree bool
}

// Known is what is known of the target beside the origins.
type Known struct {
	// Squashed are the commits, oldest first, whose last one has the target's
	// tree, and which follow one another without a merge; nil where there are none.
	Squashed []Version
	// Lost are the owners that an earlier run found by way of commits whose
	// objects are not in the repository any more.
	Lost *Rewritten
	// Generated tells which files are left out; nil means none.
	Generated func(path string) bool
}

// Covered reports whether each line of the target that says something is a line
// that one of its earlier versions adds.
func Covered(target Version, earlier []Version) bool {
	has := make(map[git.Line]bool)
	for _, v := range earlier {
		for _, f := range v.Diff.Files {
			for _, h := range f.Hunks {
				for _, l := range h.Added {
					has[l] = true
				}
			}
		}
	}
	for _, f := range target.Diff.Files {
		for _, h := range f.Hunks {
			for _, l := range h.Added {
				if l.Weight() >= anchorHunk && !has[l] {
					return false
				}
			}
		}
	}
	return true
}

// Resolve tells whose lines the target has, from the commits that it may be a
// rewrite of. The order of origins does not matter. Lines that no rule speaks of
// are left out; lines that the first rule which speaks of them gives to several
// owners have all of these. It gives nil where no line is resolved.
func Resolve(target Version, origins []Origin, known Known) *Rewritten {
	r := newResolution(target, known)
	series := make([]*Origin, 0, len(origins))
	for i := range origins {
		o := &origins[i]
		if !usable(o.Diff) || o.Commit.ID == target.Commit.ID || o.Commit.Author.Time > target.Commit.Committer.Time {
			continue // a line is never from a commit that was written after it
		}
		series = append(series, o)
	}
	slices.SortFunc(series, func(a, b *Origin) int {
		return cmp.Or(cmp.Compare(a.Series, b.Series), cmp.Compare(b.Age, a.Age), strings.Compare(a.Commit.ID, b.Commit.ID))
	})
	r.squash()
	for len(series) > 0 {
		n := 1
		for n < len(series) && series[n].Series == series[0].Series {
			n++
		}
		r.series(series[:n])
		series = series[n:]
	}
	return r.result()
}
