package live

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/spool"
)

// telling is the telling of one session.
type telling struct {
	*run
	row    *row
	unit   *unit
	events []spool.Record // that were not told
	seen   agent.Reading  // what they tell
	own    agent.Session  // of that: of the session itself
}

// tell tells what is new of one session, and of the sub-agents in its transcript.
func (r *run) tell(ctx context.Context, row *row) error {
	t := &telling{run: r, row: row, unit: r.unit(row)}
	for _, at := range t.unit.Refs[t.unit.Told:] {
		rec, err := r.Spool.RecordAt(at.Segment, at.Offset)
		if err == nil && rec.Session == row.ID && rec.AgentKey() == row.Agent {
			t.events = append(t.events, rec) // else it was erased or purged
		}
	}
	t.seen = readHooks(row.Agent, t.events, t.unit.Hooks)
	for _, s := range t.seen.Sessions {
		if s.ID == row.ID {
			t.own = s
		}
	}
	// Whatever else lies there might never end.
	if st, err := os.Stat(row.Transcript); err == nil && st.Mode().IsRegular() {
		src, closer, err := agent.Open(row.Transcript)
		if err == nil {
			defer closer.Close()
			err = t.fromTranscript(ctx, src)
			if err == nil || !unreadable(err) {
				return err
			}
		}
	}
	return t.fromHooks(ctx)
}

// unreadable reports whether an error says that a transcript is no transcript.
func unreadable(err error) bool {
	var fault *agent.DecodeError
	return errors.As(err, &fault)
}

// fromTranscript tells what came since the transcript was read the last time.
func (t *telling) fromTranscript(ctx context.Context, src *agent.Source) error {
	d, err := t.decoder(src)
	if err != nil {
		return err
	}
	next := t.unit.copied()
	tale, err := t.differs(ctx, next.of(t.row.ID), next.Path != src.Path)
	if err != nil {
		return err
	}
	from, whole := next.State, tale != nil
	if whole || next.Path != src.Path {
		from = agent.State{}
	}
	r, err := d.Read(ctx, src, from)
	if err != nil {
		return err
	}
	if from.Offset == 0 && len(r.Sessions) == 1 && r.Sessions[0].ID != t.row.ID {
		next.Alias = r.Sessions[0].ID // a transcript of one session is that session's
	}
	var all *agent.Reading // from the beginning
	if from.Offset == 0 || r.Replaced {
		all = &r
	}
	if r.Replaced && !whole {
		if tale, err = t.Tale(ctx, t.row.key()); err != nil {
			return err
		}
		whole = tale != nil
	}
	how := told{whole: whole, tale: tale, from: src.Path, vantage: stemma.SelfReported}
	how.all = func(id string) *agent.Session {
		if all == nil && (t.row.Ended || src.Size <= maxWhole) {
			if again, err := d.Read(ctx, src, agent.State{}); err == nil {
				all = &again
			}
		}
		return t.whole(all, id, next.Alias)
	}
	mine := t.mine(r.Sessions, next.Alias, src.Path)
	if !slices.ContainsFunc(mine, func(s agent.Session) bool { return s.ID == t.row.ID }) {
		mine = append(mine, t.ending())
	}
	for _, s := range mine {
		p, called := next.of(s.ID), s.ID
		s.Supplement(p.Head)
		if s.ID == t.row.ID {
			s.Supplement(t.own)
			if next.Alias != "" {
				called = next.Alias
			}
		}
		how.recall = func(s *agent.Session) { s.Recall(r.State, called, p.Held) }
		if err := t.part(ctx, p, s, how); err != nil {
			return err
		}
	}
	r.State.LeaveOut(t.left, t.Excludes)
	next.Path, next.State, next.Gone = src.Path, r.State, false
	t.commit(next, src.Size)
	t.discover(ctx, src.Path, d)
	return nil
}

// differs gives what is recorded of the session where that is not what is
// remembered, or where it is wanted whatever is remembered; else nil.
func (t *telling) differs(ctx context.Context, p *progress, always bool) (*agent.Tale, error) {
	more, err := t.Recorded(ctx, t.row.Agent, t.row.ID, p.Last+1)
	if err != nil {
		return nil, err
	}
	same := !more
	if p.Last > 0 && same {
		if same, err = t.Recorded(ctx, t.row.Agent, t.row.ID, p.Last); err != nil {
			return nil, err
		}
	}
	if same && (!always || p.Last == 0) {
		return nil, nil
	}
	return t.Tale(ctx, t.row.key())
}

// maxWhole is the size in bytes up to which a transcript that grows is read from
// its beginning for what is concluded from the whole; of a longer one that is told
// when it ends.
const maxWhole = 16 << 20

// decoder chooses who reads a transcript: its agent's own, if that recognises it.
func (t *telling) decoder(src *agent.Source) (agent.Decoder, error) {
	d, err := t.Agents.Recognise(src)
	if err != nil {
		return nil, err
	}
	if d == nil || d.Agent() != t.row.Agent {
		d = t.Agents.Decoder(t.row.Agent)
	}
	if d == nil {
		return nil, &agent.DecodeError{Agent: t.row.Agent, Path: src.Path, Reason: "no decoder reads it"}
	}
	return d, nil
}

// mine gives the sessions of a reading that are to be told from here: the one
// whose transcript it is, and the sub-agents in it that have no row of their own.
func (t *telling) mine(sessions []agent.Session, alias, path string) []agent.Session {
	sessions = slices.Clone(sessions)
	for i := range sessions {
		if alias != "" && sessions[i].ID == alias {
			sessions[i].ID = t.row.ID
		}
	}
	below := map[string]bool{t.row.ID: true}
	for range sessions {
		for _, s := range sessions {
			if s.Parent != nil && below[s.Parent.Session] && (s.Parent.Agent == "" || s.Parent.Agent == s.Agent) {
				below[s.ID] = true
			}
		}
	}
	return slices.DeleteFunc(sessions, func(s agent.Session) bool {
		other := t.journal.Rows[s.Key()]
		if other == nil || s.ID == t.row.ID {
			return !below[s.ID]
		}
		if other.Transcript == "" && below[s.ID] {
			other.Transcript, other.Untold = path, true // its hooks named none: it is in its parent's
		}
		return true
	})
}

// whole gives a session as it was read from its beginning.
func (t *telling) whole(all *agent.Reading, id, alias string) *agent.Session {
	if all == nil {
		return nil
	}
	for _, s := range all.Sessions {
		if s.ID == id || alias != "" && s.ID == alias && id == t.row.ID {
			s.LeaveOut(t.left, t.Excludes)
			return &s
		}
	}
	return nil
}

// fromHooks tells what the hooks saw, where there is no transcript (any more).
func (t *telling) fromHooks(ctx context.Context) error {
	next := t.unit.copied()
	p := next.of(t.row.ID)
	tale, err := t.differs(ctx, p, false)
	if err != nil {
		return err
	}
	s := t.own
	if s.ID == "" { // nothing came but the end, or nothing at all
		s = t.ending()
	}
	if next.Path != "" && !next.Gone {
		s.Gaps = append(s.Gaps, agent.Gap{Kind: agent.GapVanished, Reason: "the transcript is gone: what follows is what hooks saw", Count: 1})
		next.Gone = true
		p.Shift = p.Turns - t.unit.Hooks.Turns(t.row.ID)
	}
	if tale != nil {
		// Somebody else told it, or what was remembered is lost.
		s.Gaps, s.Compactions = nil, nil
		s.Turns = p.later(s, *tale)
	}
	s.Supplement(p.Head)
	how := told{vantage: stemma.Harness, all: func(string) *agent.Session { return nil }}
	if !next.Short && next.Path == "" && p.Shift == 0 {
		how.all = func(id string) *agent.Session { return t.whole(t.everything(), id, "") }
	}
	how.recall = func(s *agent.Session) { s.Recall(t.seen.State, t.row.ID, p.Held) }
	if err := t.part(ctx, p, s, how); err != nil {
		return err
	}
	t.seen.State.LeaveOut(t.left, t.Excludes)
	t.commit(next, 0)
	if st, err := os.Stat(t.row.Transcript); err == nil {
		t.row.Size = st.Size() // it can not be read: once it has changed it is tried again
	}
	return nil
}

// everything reads all records of the session; nil where some are gone.
func (t *telling) everything() *agent.Reading {
	var all []spool.Record
	for _, at := range t.unit.Refs {
		rec, err := t.Spool.RecordAt(at.Segment, at.Offset)
		if err != nil || rec.Session != t.row.ID {
			return nil
		}
		all = append(all, rec)
	}
	r := readHooks(t.row.Agent, all, agent.State{})
	return &r
}

func lastTurn(s agent.Session) int {
	if len(s.Turns) == 0 {
		return 0
	}
	return s.Turns[len(s.Turns)-1].Index
}

// ending is a part in which nothing but the end comes.
func (t *telling) ending() agent.Session {
	return agent.Session{Agent: t.row.Agent, ID: t.row.ID, Start: t.row.First, End: t.row.Last}
}

// told is how a part is told.
type told struct {
	whole   bool
	tale    *agent.Tale
	from    string
	vantage stemma.Vantage
	all     func(id string) *agent.Session // as read from its beginning, nil where it was not
	recall  func(s *agent.Session)         // adds the calls that the part before held back
}

// part tells one part of a session, where there is something to tell.
func (t *telling) part(ctx context.Context, p *progress, s agent.Session, how told) error {
	if s.Parent == nil && s.ID == t.row.ID {
		s.Parent = t.journal.parent(t.row)
	}
	s.LeaveOut(t.left, t.Excludes)
	final := t.row.Ended
	tale := how.tale
	if how.whole && s.ID != t.row.ID {
		var err error
		if tale, err = t.Tale(ctx, s.Key()); err != nil {
			return err
		}
	}
	if how.whole && tale != nil {
		if tale.Vantage != stemma.Harness && !more(s, tale.Session) {
			p.adopt(s, tale.Last, tale.Final)
			if calls(tale.Session) >= calls(s) {
				p.Held = nil // they were told, as waiting
			}
			s = t.only(s, p)
		} else if len(s.Turns) < len(tale.Session.Turns) {
			// What was told is not there any more. It stands, and goes on.
			s.Gaps = append(s.Gaps, agent.Gap{Kind: agent.GapRewritten, Reason: "the transcript holds less than was told", Count: 1})
			s.Turns = p.later(s, *tale)
			how.all = func(string) *agent.Session { return nil }
		} else {
			*p = progress{Last: tale.Last, Head: p.Head}
			s.Whole = true
		}
	}
	goesOn := !final && !t.idle(t.row.Last) && !t.idle(s.End)
	if !s.Whole && p.Last > 0 {
		if !news(s, p) && (!final || p.Final) && (goesOn || len(p.Held) == 0) {
			return nil
		}
		how.recall(&s)
	}
	for _, turn := range s.Turns {
		turn.Index = max(1, turn.Index+p.Shift)
	}
	part := Part{Session: s, From: how.from, Config: &p.Config, Told: agent.Told{
		First: p.Last + 1, Final: final, Open: goesOn, Held: p.Held, Observed: t.Now, Vantage: how.vantage, All: how.all(s.ID),
	}}
	last := p.Last + 1
	if !t.DryRun {
		var err error
		if last, err = t.Keep(ctx, part); err != nil {
			return err
		}
	}
	t.report.Told = append(t.report.Told, rowOf(part))
	p.adopt(s, last, final)
	if !goesOn {
		p.Held = nil
	}
	return nil
}

// only is what is of no turn, of a session that is told already.
func (t *telling) only(s agent.Session, p *progress) agent.Session {
	rest := agent.Session{Agent: s.Agent, ID: s.ID}
	rest.Supplement(p.Head)
	return rest
}

// later gives the turns that came after what is recorded, and sets their numbers to
// follow.
func (p *progress) later(s agent.Session, tale agent.Tale) []*agent.Turn {
	turns := slices.DeleteFunc(slices.Clone(s.Turns), func(turn *agent.Turn) bool {
		return !turn.End.Truncate(time.Millisecond).After(tale.Session.End)
	})
	*p = progress{Last: tale.Last, Turns: lastTurn(tale.Session), Final: tale.Final, Head: p.Head}
	p.Shift = p.Turns - lastTurn(s)
	if len(turns) > 0 {
		p.Shift = p.Turns - turns[0].Index + 1
	}
	return turns
}

// adopt notes that a session is told up to here.
func (p *progress) adopt(s agent.Session, last int, final bool) {
	p.Last, p.Final, p.Held = last, final, s.Waiting()
	p.Turns = max(p.Turns, lastTurn(s))
	p.Head = agent.Session{Version: s.Version, Parent: s.Parent, Start: s.Start, End: s.End, Base: s.Base}
}

// news reports whether a part holds anything that was not told.
func news(s agent.Session, p *progress) bool {
	return len(s.Turns)+len(s.Gaps)+len(s.Compactions) > 0 || s.Parent != nil && p.Head.Parent == nil
}

// more reports whether a session is known further than it was told.
func more(s, known agent.Session) bool {
	return s.End.Truncate(time.Millisecond).After(known.End) || len(s.Turns) > len(known.Turns) || s.Parent != nil && known.Parent == nil
}

// calls counts the calls of the last turn.
func calls(s agent.Session) int {
	if len(s.Turns) == 0 {
		return 0
	}
	return len(s.Turns[len(s.Turns)-1].Calls)
}

func rowOf(p Part) Row {
	row := Row{Session: p.Session.Key(), Part: p.Told.First, Turns: len(p.Session.Turns), From: p.From, Final: p.Told.Final}
	for _, turn := range p.Session.Turns {
		row.Calls += len(turn.Calls)
	}
	return row
}

// commit takes over how far the session was told.
func (t *telling) commit(next *unit, size int64) {
	next.Told = len(next.Refs)
	next.Hooks = t.seen.State
	for _, e := range t.events {
		if e.Time.After(next.Through) {
			next.Through = e.Time
		}
	}
	*t.unit = *next
	if t.row.Ended {
		for _, row := range t.journal.Rows {
			// What is within a session ends with it.
			if row.Above == t.row.key() && row.Agent == t.row.Agent && strings.HasPrefix(row.ID, spool.SubagentID(t.row.ID, "")) && !row.Ended {
				row.Ended, row.Untold = true, true
			}
		}
	}
	t.row.Untold, t.row.ToldAt, t.row.Commit, t.row.Held = false, t.Now, t.committed, false
	for _, p := range next.Sessions {
		t.row.Held = t.row.Held || len(p.Held) > 0
	}
	if size > 0 {
		t.row.Size = size
	}
	if !t.DryRun {
		// At once: a kill costs no more than the session that is being told. What can
		// not be written now is found out at the end.
		_ = t.unit.write(t.dir)
	}
}

// discover finds the transcripts of sub-agents that no hook has named.
func (t *telling) discover(ctx context.Context, path string, d agent.Decoder) {
	known := make(map[string]bool)
	for _, row := range t.journal.Rows {
		known[row.Transcript] = true
	}
	for _, file := range agent.Subagents(path) {
		if known[file] {
			continue
		}
		src, closer, err := agent.Open(file)
		if err != nil {
			continue
		}
		r, err := d.Read(ctx, src, agent.State{})
		closer.Close()
		if err != nil || len(r.Sessions) == 0 {
			continue
		}
		s := r.Sessions[0]
		key := s.Key()
		if s.Parent == nil || s.Parent.Session != t.row.ID && t.journal.Rows[stemma.SessionID(s.Agent, s.Parent.Session).Key] == nil {
			continue // of a session that no hook saw
		}
		have := t.journal.Rows[key]
		if have == nil {
			have = &row{Agent: s.Agent, ID: s.ID, First: s.Start, Last: s.End, Above: t.row.key()}
			t.journal.Rows[key] = have
		}
		if have.Transcript == "" {
			have.Transcript, have.Untold = file, true
			have.Ended = have.Ended || t.row.Ended
		}
	}
}
