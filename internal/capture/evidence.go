package capture

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attribution"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

// wanted is a file of a commit.
type wanted struct {
	place place
	diff  git.FileDiff
}

// hashed is where the input is added up.
type hashed interface {
	Write([]byte) (int, error)
	Sum([]byte) []byte
}

// evidence is the making of one result.
type evidence struct {
	*work
	commit *git.Commit
	parent *git.Commit // the first; nil where it has none or is not there
	until  time.Time
	want   []wanted
	claims []notes.Claim
	gaps   map[string]bool
	doubts map[string][]string
	input  hashed
	other  elsewhere
	twins  []Twin // see Result.Alike
}

// maxDoubt is how many files of a work tree are looked at for one doubt.
const maxDoubt = 256

func (e *evidence) doubt(p place) {
	if e.doubts == nil {
		e.doubts = make(map[string][]string)
	}
	if e.doubts[p.tree] == nil {
		e.doubts[p.tree] = e.lately(p.tree)
	}
	if !slices.Contains(e.doubts[p.tree], p.path) {
		e.doubts[p.tree] = append(e.doubts[p.tree], p.path)
	}
}

// lately gives the files of a work tree that were seen last, the youngest first.
func (w *work) lately(tree string) []string {
	var paths []string
	for p := range w.states {
		if p.tree == tree {
			paths = append(paths, p.path)
		}
	}
	last := func(path string) time.Time {
		states := w.states[place{tree, path}]
		return states[len(states)-1].at
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(last(b).Compare(last(a)), cmp.Compare(a, b)) })
	return paths[:min(len(paths), maxDoubt)]
}

// claim claims the added lines of one file, and gives who wrote each of its lines.
func (e *evidence) claim(want wanted, content []byte) []attribution.Mark {
	f, states := e.files[want.place], e.states[want.place]
	for _, s := range states[:f.next] {
		fmt.Fprintf(e.input, "%q %d %s %s\n", want.place.path, s.at.UnixNano(), s.phase, s.file.Blob)
	}
	w := e.between(want.place, f.from, e.until)
	if want.diff.Added > 0 {
		if w.fault != "" {
			e.doubt(want.place)
		}
		maps.Copy(e.gaps, f.faults)
		clear(f.faults)
	}
	marks := f.replay.Marks(content, w.Writer)
	e.addMarks(want.diff, marks, w.fault)
	return marks
}

// addMarks claims the added lines of a file by their marks.
func (e *evidence) addMarks(diff git.FileDiff, marks []attribution.Mark, fault string) {
	var ranges []notes.Range
	var mark attribution.Mark
	flush := func() {
		e.add(diff.Path, ranges, mark, fault)
		ranges = nil
	}
	for _, r := range diff.Ranges {
		for n := r.Start; n <= r.End && n <= len(marks); n++ {
			m := marks[n-1]
			if len(ranges) > 0 && m.Owner == mark.Owner && m.Edited == mark.Edited && slices.Equal(m.May, mark.May) {
				if k := len(ranges) - 1; ranges[k].End+1 == n {
					ranges[k].End = n
					continue
				}
				ranges = append(ranges, notes.Range{Start: n, End: n})
				continue
			}
			flush()
			mark, ranges = m, []notes.Range{{Start: n, End: n}}
		}
	}
	flush()
}

// add claims lines that have one mark.
func (e *evidence) add(path string, ranges []notes.Range, m attribution.Mark, fault string) {
	if len(ranges) == 0 {
		return
	}
	c := notes.Claim{Path: path, Ranges: ranges, Session: -1}
	person := func(owner int) bool { return owner == e.person() || owner == e.seen() }
	strength := func(owner int) {
		c.Strength = stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Observed, Confidence: 1}
		if owner == e.person() {
			c.Strength.Assertion, c.Strength.Confidence = stemma.Inferred, 0.9
		}
		if _, told := e.sessionOf(owner); told {
			c.Strength.Assertion, c.Strength.Confidence = stemma.Inferred, 0.8
		}
	}
	switch {
	case m.Owner == attribution.Base:
		return // it came from elsewhere in the history: that is not for the hooks to tell
	case m.Owner == attribution.Nobody:
		c.Class = stemma.ClassUnknown
		if fault != "" {
			e.gaps[fault] = true
		}
		var may []int
		for _, owner := range m.May {
			if s, _ := e.sessionOf(owner); s >= 0 {
				may = append(may, s)
			}
		}
		slices.Sort(may)
		for _, s := range slices.Compact(may) {
			c.Session = s
			e.claims = append(e.claims, c)
		}
		return
	case m.Edited != attribution.Base:
		c.Class = stemma.ClassAIEdited
		by := m.Owner
		if person(m.Owner) {
			by = m.Edited
		}
		c.Session, _ = e.sessionOf(by)
		c.Person = e.Person
		strength(m.Owner)
	case person(m.Owner):
		c.Class, c.Person = stemma.ClassHuman, e.Person
		strength(m.Owner)
	default:
		c.Class = stemma.ClassAI
		c.Session, _ = e.sessionOf(m.Owner)
		strength(m.Owner)
	}
	e.claims = append(e.claims, c)
}

// named gives a session with the model that its transcript names, where its hooks
// named none and no other worked in it so far.
func (e *evidence) named(s notes.Session) notes.Session {
	if models := e.Models[stemma.SessionID(s.Agent, s.ID).Key]; !s.Model.Known() && len(models) == 1 {
		s.Model = stemma.ParseModel(models[0])
	}
	return s
}

// result gives the evidence, and false where there is none.
func (e *evidence) result() (Result, bool, error) {
	if len(e.claims) == 0 && !slices.ContainsFunc(e.want, func(w wanted) bool { return w.diff.Added > 0 }) {
		return Result{Commit: e.commit.ID, Alike: e.twins, Empty: true}, len(e.twins) > 0, nil
	}
	out := notes.Evidence{Source: "stemma", Whole: -1, Claims: e.claims, Problems: slices.Sorted(maps.Keys(e.gaps))}
	// Only the sessions that the claims name, in the order of the claims.
	number := make(map[int]int)
	for i := range out.Claims {
		s := out.Claims[i].Session
		if s < 0 {
			continue
		}
		if _, ok := number[s]; !ok {
			number[s] = len(out.Sessions)
			out.Sessions = append(out.Sessions, e.named(e.sessions[s]))
		}
		out.Claims[i].Session = number[s]
	}
	return Result{Commit: e.commit.ID, Evidence: out, Input: hex.EncodeToString(e.input.Sum(nil)), Uncompared: e.uncompared(), Doubt: e.doubts, Alike: e.twins}, true, nil
}
