package attribution

import (
	"cmp"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// Dispute is a run of lines that a commit added and of which its sources say
// different things: another class, or another agent.
type Dispute struct {
	Path       string // bytes as git has them
	Start, End int    // 1-based, inclusive, of the file after the commit
	// Class is what became of the lines: unknown where sources that speak of
	// single lines give them to different classes.
	Class stemma.Class
	Says  []Saying // in the order of the sources
}

// Saying is what one source says of the lines of a Dispute.
type Saying struct {
	Source  string
	Class   stemma.Class
	Session string // key of a session node, or ""
	Person  string // key of a person node, or ""
	Agent   string // key of the agent of the session
	Model   stemma.Model
	Whole   bool // it is said of the commit as a whole, not of these lines
}

// Disputes gives the lines on which sources differ, by path and line, from what
// [Commit] makes a row of. Their number is the Differ of the row's sources.
func Disputes(c *git.Commit, diff git.Diff, said []Said, rules Rules) []Dispute {
	w := newWork(c, diff, said, rules)
	w.rest()
	claims := w.claimsByPath()
	var all []Dispute
	for _, f := range diff.Files {
		if of := claims[f.Path]; len(of) > 0 {
			all = append(all, w.disputes(f, of)...)
		}
	}
	slices.SortStableFunc(all, func(a, b Dispute) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// disputes gives those of one file.
func (w *work) disputes(f git.FileDiff, of []claimRef) []Dispute {
	generated := w.rules.Generated != nil && w.rules.Generated(f.Path)
	layers := w.layers(f, of)
	var found []Dispute
	var last []claimRef // what was said of the last line of found
	at := 0
	for _, r := range f.Ranges {
		for n := r.Start; n <= r.End; n++ {
			speak := make([]claimRef, 0, len(layers))
			for _, l := range layers {
				if c := l.claim[at]; c >= 0 {
					speak = append(speak, claimRef{l.source, int(c)})
				}
			}
			at++
			if !w.differ(speak) {
				continue
			}
			if i := len(found) - 1; i >= 0 && found[i].End == n-1 && slices.Equal(last, speak) {
				found[i].End = n
				continue
			}
			class := w.decide(speak, f.Path, n, generated).class
			found, last = append(found, Dispute{Path: f.Path, Start: n, End: n, Class: class, Says: w.sayings(speak)}), speak
		}
	}
	return found
}

// differ reports whether the claims on one line, and the author of the commit
// where that is an agent, do not all say the same.
func (w *work) differ(speak []claimRef) bool {
	for i, a := range speak {
		if w.whole >= 0 && !w.asWhole(a) {
			return true
		}
		if b := speak[0]; i > 0 && (w.claim(a).Class != w.claim(b).Class || w.agent(a) != w.agent(b)) {
			return true
		}
	}
	return false
}

// sayings gives what is said of one line.
func (w *work) sayings(speak []claimRef) []Saying {
	var says []Saying
	say := func(o stemma.Owner, class stemma.Class, whole bool) {
		says = append(says, Saying{
			Source: o.Source, Class: class, Session: o.Session, Person: o.Person, Agent: o.Agent, Model: o.Model, Whole: whole,
		})
	}
	for _, c := range speak {
		say(w.row.Owners[w.claimOwner(c)], w.claim(c).Class, false)
	}
	if w.whole >= 0 {
		say(w.row.Owners[w.row.RestOwner], stemma.ClassAI, true)
	}
	return says
}
