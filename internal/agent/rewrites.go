package agent

import (
	"slices"
	"time"

	"github.com/stemma-dev/stemma/internal/git"
)

// Rewrite is an edit that replaced, or took away, at least one line which an
// earlier edit of the same session had put into the same file. An edit is one
// replacement in one place; a file that is written anew as a whole is one edit.
//
// Lines of white space alone do not count, nor do those that stand on both sides
// of the edit: they only show the place. Nor does a line that is not there any
// more: it is replaced once.
type Rewrite struct {
	Path string    `json:"path"`
	At   time.Time `json:"at,omitzero"` // of the edit; zero where the transcript does not tell
	// Of is when the youngest of the lines that it replaced was written, so that
	// what was rewritten after a commit can be told from what was before.
	Of time.Time `json:"of,omitzero"`
}

// ownLine is a line that the session has put into a file, and not yet replaced.
type ownLine struct {
	n  int
	at time.Time
}

// Rewrites gives the rewrites of a session by the index of the turn they are in.
// They can only be told of a session that was read from its beginning.
func (s *Session) Rewrites() map[int][]Rewrite {
	all := make(map[int][]Rewrite)
	files := make(map[string]map[git.Line]ownLine)
	for _, t := range s.Turns {
		for _, c := range t.Calls {
			if c.Outcome == OutcomeNone || c.Outcome == OutcomeError {
				continue
			}
			at := c.Start
			if at.IsZero() {
				at = t.Start
			}
			for _, e := range c.Edits {
				own := files[e.Path]
				if own == nil {
					own = make(map[git.Line]ownLine)
					files[e.Path] = own
				}
				if of, replaced := e.replace(own, at); replaced {
					all[t.Index] = append(all[t.Index], Rewrite{e.Path, at, of})
				}
			}
		}
	}
	return all
}

// rewritten gives the rewrites that are by the calls of this part of a turn, of
// those of the turn as a whole; goesOn as in turnOf.
func (t *Turn) rewritten(all []Rewrite, goesOn bool) []Rewrite {
	var mine []Rewrite
	for _, r := range all {
		if r.At.IsZero() || r.At.Equal(t.Start) && t.Prompt != nil || slices.ContainsFunc(t.Calls, func(c *Call) bool {
			return c.Start.Equal(r.At) && !(goesOn && waits(c))
		}) {
			mine = append(mine, r)
		}
	}
	return mine
}

// replace takes out of own what the edit replaces, and puts in what it writes.
func (e Edit) replace(own map[git.Line]ownLine, at time.Time) (youngest time.Time, replaced bool) {
	came := make(map[git.Line]bool, len(e.New))
	for _, l := range e.New {
		came[l] = true
	}
	lose := func(l git.Line) {
		have, ok := own[l]
		if !ok || came[l] {
			return
		}
		replaced = true
		if have.at.After(youngest) {
			youngest = have.at
		}
		if have.n--; have.n == 0 {
			delete(own, l)
			return
		}
		own[l] = have
	}
	gone := make(map[git.Line]bool, len(e.Old))
	for _, l := range e.Old {
		gone[l] = true
		lose(l)
	}
	if e.Whole {
		for l := range own {
			for _, ok := own[l]; ok && !came[l]; _, ok = own[l] {
				lose(l)
			}
		}
	}
	for _, l := range e.New {
		if gone[l] || e.Whole && own[l].n > 0 {
			continue
		}
		have := own[l]
		own[l] = ownLine{have.n + 1, at}
	}
	return youngest, replaced
}
