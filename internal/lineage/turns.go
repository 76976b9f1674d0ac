package lineage

import (
	"context"
	"errors"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/store"
)

// Which turns of a session belong to a commit, or to a change:
//
// A turn *wrote* a file of it when it wrote, made or removed the file after the
// session's commit of the same file before, and before this one. "Before" is by
// the author's date, which a rewrite keeps; what was written between that and the
// committer's date belongs to the commit too, as of one that was amended, unless a
// later commit of the session has the file. Of a change, commits that entered by
// other changes count; of a commit that is in no change, all but those that it is
// a rewrite of.
//
// Turns that wrote nothing belong to what they led to: the next turn of the
// session that wrote something. Those after the last one belong to it as far as
// the commit.

// made is when a commit was made, and of which files.
type made struct {
	authored, committed int64
	files               map[string]bool
}

// window is when a file was written for a commit, UTC seconds: after since, and
// no later than until.
type window struct {
	since, until int64
}

// windows gives the window of each file that the session wrote for the commits
// asked for.
func (w *working) windows(ctx context.Context, s *SessionWork, others []*made) (map[string]window, error) {
	type own struct{ first, last, until int64 }
	files := make(map[string]own)
	for _, j := range s.Joined {
		m, err := w.madeOf(ctx, j.Commit, w.rows[j.Commit])
		if err != nil {
			return nil, err
		}
		for f := range m.files {
			o, ok := files[f]
			if !ok {
				o.first = math.MaxInt64
			}
			o.first, o.last = min(o.first, m.authored), max(o.last, m.authored)
			o.until = max(o.until, m.authored, m.committed)
			files[f] = o
		}
	}
	for _, other := range others {
		s.commits = append(s.commits, other.authored)
	}
	windows := make(map[string]window, len(files))
	for f, o := range files {
		win := window{until: o.until}
		for _, other := range others {
			switch {
			case !other.files[f]:
			case other.authored < o.first:
				win.since = max(win.since, other.authored)
			case other.authored > o.last:
				win.until = min(win.until, max(o.last, other.authored-1))
			}
		}
		windows[f] = win
	}
	return windows, nil
}

// others gives, by session, the other commits that bound what it wrote for these.
func (w *working) others(ctx context.Context, sessions []*SessionWork) (map[string][]*made, error) {
	var to []stemma.NodeID
	for _, s := range sessions {
		if s.tale != nil {
			to = append(to, stemma.NodeID{Kind: stemma.KindSession, Key: s.Session})
		}
	}
	if len(to) == 0 {
		return nil, nil
	}
	joined := make(map[stemma.NodeID][]string) // sessions by commit
	for e, err := range w.Store.Edges(ctx, store.EdgeQuery{To: to, Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}) {
		if err != nil {
			return nil, err
		}
		if _, asked := w.rows[e.From.Key]; !asked && !slices.Contains(joined[e.From], e.To.Key) {
			joined[e.From] = append(joined[e.From], e.To.Key)
		}
	}
	commits, err := w.bounding(ctx, slices.Collect(maps.Keys(joined)))
	if err != nil {
		return nil, err
	}
	rows, err := w.Graph.rows(ctx, commits)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]*made)
	for id, row := range rows {
		m, err := w.madeOf(ctx, id, row)
		if err != nil {
			return nil, err
		}
		for _, s := range joined[stemma.CommitID(id)] {
			all[s] = append(all[s], m)
		}
	}
	return all, nil
}

// bounding gives those of other commits that bound what was written for these: of
// a change, those that entered by another one; of a commit that is in none, those
// that it is no rewrite of.
func (w *working) bounding(ctx context.Context, ids []stemma.NodeID) (commits []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if w.change != "" {
		for e, err := range w.Store.Edges(ctx, store.EdgeQuery{From: ids, Kinds: []stemma.EdgeKind{stemma.EdgePartOf}}) {
			if err != nil {
				return nil, err
			}
			if e.To.Key != w.change {
				commits = append(commits, e.From.Key)
			}
		}
		return commits, nil
	}
	var from []stemma.NodeID
	for id := range w.rows {
		from = append(from, stemma.CommitID(id))
	}
	origins := make(map[stemma.NodeID]bool)
	for e, err := range w.Store.Edges(ctx, store.EdgeQuery{From: from, Kinds: []stemma.EdgeKind{stemma.EdgeRewriteOf}}) {
		if err != nil {
			return nil, err
		}
		origins[e.To] = true
	}
	for _, id := range ids {
		if !origins[id] {
			commits = append(commits, id.Key)
		}
	}
	return commits, nil
}

// madeOf reads when a commit was made. Of one whose objects are gone the row has
// the committer's time.
func (w *working) madeOf(ctx context.Context, id string, row stemma.Attribution) (*made, error) {
	if m := w.made[id]; m != nil {
		return m, nil
	}
	m := &made{authored: row.Time, committed: row.Time, files: make(map[string]bool, len(row.Files))}
	for _, f := range row.Files {
		m.files[f.Path] = true
	}
	c, err := w.Repo.Commit(ctx, id)
	switch {
	case err == nil:
		m.authored, m.committed = c.Author.Time, c.Committer.Time
	case !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid):
		return nil, err
	}
	w.made[id] = m
	return m, nil
}

// wrote reports whether a file was written within its window, as far as times are
// told. A turn without times may have been.
func (win window) wrote(t *agent.Turn, f agent.File) bool {
	start, last := t.Start, f.Last
	if last.IsZero() {
		last = t.End
	}
	if last.IsZero() {
		last = start
	}
	return (start.IsZero() || start.Unix() <= win.until) && (last.IsZero() || last.Unix() > win.since)
}

// choose finds the turns of the session that belong to the files in their windows.
func (s *SessionWork) choose(windows map[string]window) {
	turns := s.tale.Session.Turns
	names := pathsIn(turns, windows)
	for _, win := range windows {
		s.until = max(s.until, win.until)
	}
	s.include(func(t *agent.Turn) *TurnWork {
		var files []agent.File
		for _, c := range t.Calls {
			for _, f := range c.Files {
				if name, ok := names[f.Path]; ok && f.Access != agent.Read && windows[name].wrote(t, f) {
					f.Path = name
					files = append(files, f)
				}
			}
		}
		if len(files) == 0 {
			return nil
		}
		w := turnWork(s.tale, t)
		w.Files = files
		for _, r := range s.tale.Rewrites[t.Index].Told {
			if name, ok := names[r.Path]; ok && windows[name].holds(r) {
				w.Rewrites++
			}
		}
		return w
	}, s.until)
}

// holds reports whether a rewrite, and what it replaced, were written within the
// window. One without times may have been.
func (win window) holds(r agent.Rewrite) bool {
	return (r.At.IsZero() || r.At.Unix() <= win.until) && (r.Of.IsZero() || r.Of.Unix() > win.since)
}

// include takes the turns of which work gives something, with those without
// writes that led to them or followed them; until is when the last commit was made.
func (s *SessionWork) include(work func(*agent.Turn) *TurnWork, until int64) {
	s.Turns, s.included = []*TurnWork{}, nil
	var idle []int
	after := false // the last turn that wrote something is one of them
	for i, t := range s.tale.Session.Turns {
		w := work(t)
		if w == nil && !writes(t) {
			idle = append(idle, i)
			continue
		}
		s.follow(idle, after, until, w != nil, t.Start)
		if w != nil {
			s.included = append(s.included, i)
			s.Turns = append(s.Turns, w)
		}
		idle, after = nil, w != nil
	}
	s.follow(idle, after, until, false, time.Time{})
	s.Led = len(s.included) - len(s.Turns)
	s.Other = len(s.tale.Session.Turns) - len(s.included)
}

// follow includes turns without writes: those that came after a turn which is
// included, up to the commit, and those that led to one, unless another commit was
// made between them and it.
func (s *SessionWork) follow(idle []int, after bool, until int64, led bool, to time.Time) {
	for _, i := range idle {
		start := s.tale.Session.Turns[i].Start
		if after && (start.IsZero() || start.Unix() <= until) || led && !s.committedBetween(start, to) {
			s.included = append(s.included, i)
		}
	}
}

// committedBetween reports whether the session's work entered another commit
// between two times.
func (s *SessionWork) committedBetween(a, b time.Time) bool {
	return !a.IsZero() && !b.IsZero() && slices.ContainsFunc(s.commits, func(at int64) bool { return a.Unix() <= at && at < b.Unix() })
}

// writes reports whether a turn wrote files.
func writes(t *agent.Turn) bool {
	return slices.ContainsFunc(t.Calls, func(c *agent.Call) bool { return c.Kind == agent.KindEdit })
}

// spawned takes the turns in which the session called one that has turns of its
// own here: for each of these the call before it. Where no call names the session,
// it is the turn in which that began. It reports whether there are more now.
func (s *SessionWork) spawned(child *SessionWork) (more bool) {
	have := make(map[int]*TurnWork)
	for _, w := range s.Turns {
		have[w.Index] = w
	}
	turns := s.tale.Session.Turns
	calls := slices.DeleteFunc(slices.Clone(turns), func(t *agent.Turn) bool { return !s.calls(t, child.Session) })
	named := len(calls) > 0
	if !named {
		calls = turns
	}
	found := false
	for _, i := range child.included {
		began := child.tale.Session.Turns[i].Start
		if !named {
			began = child.tale.Session.Start
		}
		t := lastBefore(calls, began)
		if t == nil && named {
			t = calls[0]
		}
		if t == nil {
			continue
		}
		found = true
		if have[t.Index] == nil {
			have[t.Index] = turnWork(s.tale, t)
		}
	}
	if !found {
		s.lost = true
		return false
	}
	before := len(s.included)
	s.until = max(s.until, child.until)
	for _, at := range child.commits {
		if !slices.Contains(s.commits, at) {
			s.commits = append(s.commits, at)
		}
	}
	s.include(func(t *agent.Turn) *TurnWork { return have[t.Index] }, s.until)
	return len(s.included) > before
}

// calls reports whether a turn called a session.
func (s *SessionWork) calls(t *agent.Turn, session string) bool {
	return slices.ContainsFunc(t.Calls, func(c *agent.Call) bool {
		return c.Spawn != nil && c.Spawn.Session != "" && stemma.SessionID(s.tale.Session.Agent, c.Spawn.Session).Key == session
	})
}

// lastBefore gives the last of the turns that began before a time, nil where none
// did or there is no time.
func lastBefore(turns []*agent.Turn, at time.Time) *agent.Turn {
	var last *agent.Turn
	for _, t := range turns {
		if !at.IsZero() && !t.Start.IsZero() && !t.Start.After(at) {
			last = t
		}
	}
	return last
}

// pathsIn gives, for the paths that turns wrote, the files of a commit that they
// are: those of the same path; and where there is none, because the session worked
// in a folder of the repository or above it, those that end alike.
func pathsIn(turns []*agent.Turn, files map[string]window) map[string]string {
	written := make(map[string]bool)
	for _, t := range turns {
		for _, c := range t.Calls {
			for _, f := range c.Files {
				if f.Access != agent.Read {
					written[f.Path] = true
				}
			}
		}
	}
	same := make(map[string]string)
	byName := make(map[string][]string)
	for f := range files {
		if written[f] {
			same[f] = f
			continue
		}
		byName[path.Base(f)] = append(byName[path.Base(f)], f)
	}
	for p := range written {
		if _, ok := same[p]; ok {
			continue
		}
		candidates := byName[path.Base(p)]
		slices.Sort(candidates)
		for _, f := range candidates {
			if strings.HasSuffix(f, "/"+p) || strings.HasSuffix(p, "/"+f) {
				same[p] = f
				break
			}
		}
	}
	return same
}

func turnWork(t *agent.Tale, turn *agent.Turn) *TurnWork {
	w := &TurnWork{
		Index: turn.Index, Start: stamp(turn.Start), End: stamp(turn.End), Origin: turn.Origin, Mode: turn.Mode,
		Prompt: size(turn.Prompt), Answer: size(turn.Answer), Thinking: turn.Thinking, Broken: turn.Interrupted,
		Models: []string{}, Files: []agent.File{}, Tests: []agent.Test{}, Tickets: []string{}, Spawned: []string{},
		Tools: maps.Clone(t.Tools[turn.Index]), Calls: make(map[string]int), Outcomes: counts(t.Outcomes[turn.Index]), Decided: counts(t.Decisions[turn.Index]),
	}
	if w.Tools == nil {
		w.Tools = make(map[string]int)
	}
	w.Tickets = append(w.Tickets, t.Named[turn.Index]...)
	for _, m := range turn.Models {
		if key := m.Model.Key(); key != "" && !slices.Contains(w.Models, key) {
			w.Models = append(w.Models, key)
		}
	}
	if u := turn.Usage(); u != nil {
		w.Output = &u.Output
	}
	for _, c := range turn.Calls {
		w.Calls[string(c.Kind)]++
		if c.Test != nil {
			w.Tests = append(w.Tests, *c.Test)
		}
		if c.Spawn != nil && c.Spawn.Session != "" {
			w.Spawned = append(w.Spawned, stemma.SessionID(t.Session.Agent, c.Spawn.Session).Key)
		}
	}
	return w
}

func counts[K ~string](of map[K]int) map[string]int {
	all := make(map[string]int, len(of))
	for k, n := range of {
		all[string(k)] = n
	}
	return all
}

func size(t *agent.Text) int64 {
	if t == nil {
		return 0
	}
	return t.Size
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
