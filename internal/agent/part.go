package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
)

// Waiting gives the ids of the calls of the last turn that have no result yet: a
// part that is told while the session goes on leaves them out, see [Told.Open].
func (s *Session) Waiting() []string {
	var ids []string
	if len(s.Turns) == 0 {
		return nil
	}
	for _, c := range s.Turns[len(s.Turns)-1].Calls {
		if waits(c) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

func waits(c *Call) bool { return c.Outcome == "" && c.ID != "" }

// Recall adds the calls with these ids that a reading does not give again,
// because nothing came of them, as the state after it remembers them. id is what
// the state calls the session.
func (s *Session) Recall(st State, id string, calls []string) {
	for _, call := range calls {
		if s.has(call) {
			continue
		}
		for _, w := range st.Works {
			for _, o := range w.Open {
				if w.ID == id && o != nil && o.Call != nil && o.Call.ID == call {
					again := *o.Call
					again.Again = true
					s.put(o.Turn, &again)
				}
			}
		}
	}
}

func (s *Session) has(call string) bool {
	return slices.ContainsFunc(s.Turns, func(t *Turn) bool {
		return slices.ContainsFunc(t.Calls, func(c *Call) bool { return c.ID == call })
	})
}

func (s *Session) put(turn int, c *Call) {
	i, ok := slices.BinarySearchFunc(s.Turns, turn, func(t *Turn, index int) int { return t.Index - index })
	if !ok {
		s.Turns = slices.Insert(s.Turns, i, &Turn{Index: turn})
	}
	s.Turns[i].Calls = append(s.Turns[i].Calls, c)
}

// Supplement fills in what a session's own transcript does not tell from what
// others saw of it meanwhile, such as an agent's hooks. What the transcript tells
// stands. A turn is known again by its prompt; the only model that was seen is that
// of every turn.
func (s *Session) Supplement(seen Session) {
	s.Version = cmp.Or(s.Version, seen.Version)
	s.Base.Dir = cmp.Or(s.Base.Dir, seen.Base.Dir)
	s.Base.Branch = cmp.Or(s.Base.Branch, seen.Base.Branch)
	s.Base.Commit = cmp.Or(s.Base.Commit, seen.Base.Commit)
	if s.Parent == nil {
		s.Parent = seen.Parent
	} else if seen.Parent != nil && seen.Parent.Session == s.Parent.Session {
		p := *s.Parent
		p.Role, p.Call = cmp.Or(p.Role, seen.Parent.Role), cmp.Or(p.Call, seen.Parent.Call)
		s.Parent = &p
	}
	if !seen.Start.IsZero() && (s.Start.IsZero() || seen.Start.Before(s.Start)) {
		s.Start = seen.Start
	}
	if seen.End.After(s.End) {
		s.End = seen.End
	}
	only := seen.onlyModel()
	next := 0
	for _, t := range s.Turns {
		for i := next; i < len(seen.Turns); i++ {
			if samePrompt(t, seen.Turns[i]) {
				t.supplement(seen.Turns[i])
				next = i + 1
				break
			}
		}
		if only.Known() && !t.modelKnown() {
			modelUse(t, only)
		}
	}
}

// onlyModel is the model that worked, where no other did.
func (s *Session) onlyModel() stemma.Model {
	var only stemma.Model
	for _, t := range s.Turns {
		for _, m := range t.Models {
			if m.Model.Known() && only.Known() && m.Model != only {
				return stemma.Model{}
			}
			if m.Model.Known() {
				only = m.Model
			}
		}
	}
	return only
}

func (t *Turn) modelKnown() bool {
	return slices.ContainsFunc(t.Models, func(m ModelUse) bool { return m.Model.Known() })
}

func samePrompt(a, b *Turn) bool {
	if a.Prompt == nil || b.Prompt == nil {
		// The first turn of a reading may go on with one whose prompt was read before.
		return a.Prompt == b.Prompt && a.Index == b.Index
	}
	x, y := strings.TrimSpace(a.Prompt.Text), strings.TrimSpace(b.Prompt.Text)
	if a.Prompt.Cut || b.Prompt.Cut {
		n := min(len(x), len(y))
		return n > 0 && x[:n] == y[:n]
	}
	return x == y
}

func (t *Turn) supplement(seen *Turn) {
	if t.Start.IsZero() {
		t.Start = seen.Start
	}
	if t.End.IsZero() {
		t.End = seen.End
	}
	if t.Mode == "" {
		t.Mode = seen.Mode
	}
	if !t.modelKnown() {
		for _, m := range seen.Models {
			modelUse(t, m.Model)
		}
	}
}

// LeaveOut takes out what a user wants nobody to keep: turns that began at such a
// time, and of calls that touch such a file everything but that they were made.
// What is gone is a gap that counts it.
func (s *Session) LeaveOut(when func(time.Time) bool, file func(path string) bool) {
	s.Turns = slices.DeleteFunc(slices.Clone(s.Turns), func(t *Turn) bool {
		gone := !t.Start.IsZero() && when(t.Start)
		if gone {
			s.Gaps = addGap(s.Gaps, Gap{Kind: GapTruncated, Reason: "turns while capture was paused", Count: 1})
		}
		return gone
	})
	for _, t := range s.Turns {
		for i, c := range t.Calls {
			if reason := leftOut(c, s.Base.Dir, when, file); reason != "" {
				s.Gaps = addGap(s.Gaps, Gap{Kind: GapTruncated, Reason: reason, Count: 1})
				t.Calls[i] = bare(c)
			}
		}
	}
}

// LeaveOut is [Session.LeaveOut] for the calls that a state remembers.
func (s *State) LeaveOut(when func(time.Time) bool, file func(path string) bool) {
	for _, w := range s.Works {
		for _, o := range w.Open {
			if o != nil && o.Call != nil && leftOut(o.Call, w.Base.Dir, when, file) != "" {
				o.Call = bare(o.Call)
			}
		}
	}
}

// leftOut gives the reason why a call is not to be kept, or "".
func leftOut(c *Call, dir string, when func(time.Time) bool, file func(path string) bool) string {
	switch {
	case !c.Start.IsZero() && when(c.Start):
		return "calls while capture was paused"
	case slices.ContainsFunc(c.Files, func(f File) bool { return file(absolute(dir, f.Path)) }):
		return "calls that touch an excluded path"
	default:
		return ""
	}
}

// bare is a call without anything but that it was made.
func bare(c *Call) *Call {
	return &Call{ID: c.ID, Name: c.Name, Kind: c.Kind, Start: c.Start, End: c.End, Outcome: c.Outcome, Decision: c.Decision, Again: c.Again}
}

// absolute gives the path of a file by a working directory.
func absolute(dir, file string) string {
	if strings.HasPrefix(file, "/") || len(file) > 1 && file[1] == ':' || dir == "" {
		return file
	}
	return strings.TrimSuffix(dir, "/") + "/" + file
}
