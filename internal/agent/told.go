package agent

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// Tale is a session as its statements tell it: without content, and as complete
// as the parts that are there.
type Tale struct {
	Session Session // texts have their size alone
	Key     string  // of the session's node
	Parts   int
	Last    int // number of the last part
	// Missing counts the parts that are not there below the last one.
	Missing    int
	Final      bool
	Repository string
	Vantage    stemma.Vantage
	Derived    *Derived
	Config     []ConfigDigest
	Commits    []DeltaCommit
	Related    []DeltaRelation
	Content    []attest.Commitment // in the vault
	Tickets    []string            // named in prompts, each once
	Named      map[int][]string    // the same by the turn whose prompt names them
	Cited      []Citation          // in prompts, each once
	Outside    int                 // files outside of the working directory
	// Outcomes and Decisions count the calls of each turn, by its index: which call
	// had which is not told.
	Outcomes  map[int]map[Outcome]int
	Decisions map[int]map[Decision]int
	// Tools counts the calls of each turn by the tool's name; a turn of which no
	// name is told is not in it.
	Tools map[int]map[string]int
	// Rewrites are those of each turn, as far as they are told.
	Rewrites map[int]TurnRewrites
}

// TurnRewrites are the rewrites of a turn.
type TurnRewrites struct {
	Told []Rewrite
	// Short says that there may be more: the session was not read from its
	// beginning, or there was no room for them.
	Short bool
}

// Retell puts the parts of one session together, in whatever order they are
// given. Of a part that is there twice the first counts.
func Retell(parts []Delta) Tale {
	parts = slices.Clone(parts)
	slices.SortStableFunc(parts, func(a, b Delta) int { return cmp.Compare(a.Number, b.Number) })
	parts = slices.CompactFunc(parts, func(a, b Delta) bool { return a.Number == b.Number })
	for i := len(parts) - 1; i > 0; i-- {
		if parts[i].Whole {
			parts = parts[i:]
			break
		}
	}
	t := Tale{
		Outcomes: make(map[int]map[Outcome]int), Decisions: make(map[int]map[Decision]int),
		Named: make(map[int][]string), Tools: make(map[int]map[string]int), Rewrites: make(map[int]TurnRewrites),
	}
	var known []Session
	for i, d := range parts {
		if i == 0 {
			t.Key = d.Session
			if !d.Whole {
				t.Missing += d.Number - 1
			}
		} else {
			t.Missing += d.Number - parts[i-1].Number - 1
		}
		t.Parts, t.Last = t.Parts+1, d.Number
		t.Content = append(t.Content, d.Content...)
		t.Final = d.Final // a session may be taken up again
		t.Repository = cmp.Or(d.Base.Repository, t.Repository)
		t.Vantage = cmp.Or(d.Vantage, t.Vantage)
		if d.Derived != nil {
			t.Derived = d.Derived
		}
		if len(d.Config) > 0 {
			t.Config = d.Config
		}
		for _, r := range d.Related {
			if !slices.ContainsFunc(t.Related, func(have DeltaRelation) bool { return have.Session == r.Session && have.Kind == r.Kind }) {
				t.Related = append(t.Related, r)
			}
		}
		for _, c := range d.Commits {
			if !slices.ContainsFunc(t.Commits, func(have DeltaCommit) bool { return have.Commit == c.Commit }) {
				t.Commits = append(t.Commits, c)
			}
		}
		for _, turn := range d.Turns {
			t.Outside += turn.Outside
			addCounts(t.Outcomes, turn.Index, turn.Outcomes)
			addCounts(t.Decisions, turn.Index, turn.Decisions)
			addCounts(t.Tools, turn.Index, turn.Tools)
			if turn.Rewrites != nil || turn.Calls[KindEdit] > 0 {
				have := t.Rewrites[turn.Index]
				for _, r := range turn.Rewrites {
					if !slices.Contains(have.Told, r) { // told again with what came later
						have.Told = append(have.Told, r)
					}
				}
				have.Short = have.Short || turn.Rewrites == nil || turn.RewritesCut > 0
				t.Rewrites[turn.Index] = have
			}
			for _, c := range turn.Cited {
				if !slices.Contains(t.Cited, c) {
					t.Cited = append(t.Cited, c)
				}
			}
			for _, ticket := range turn.Tickets {
				if !slices.Contains(t.Named[turn.Index], ticket) {
					t.Named[turn.Index] = append(t.Named[turn.Index], ticket)
				}
				if !slices.Contains(t.Tickets, ticket) {
					t.Tickets = append(t.Tickets, ticket)
				}
			}
		}
		known = Fold(known, Reading{Sessions: []Session{d.session()}})
	}
	if len(known) > 0 {
		t.Session = known[0]
	}
	return t
}

// Head is the session without what parts add up: what a further part says of it
// that tells no turn.
func (t Tale) Head() Session {
	s := t.Session
	s.Turns, s.Compactions, s.Messages, s.Gaps, s.Changes, s.Total, s.Whole = nil, nil, nil, nil, nil, nil, false
	return s
}

func addCounts[K comparable](sum map[int]map[K]int, index int, counts map[K]int) {
	for k, n := range counts {
		if sum[index] == nil {
			sum[index] = make(map[K]int)
		}
		sum[index][k] += n
	}
}

// session gives the part as what a reading gives: a call stands for each that
// was counted.
func (d Delta) session() Session {
	agent, id, _ := strings.Cut(d.Session, "/")
	s := Session{
		Agent: agent, ID: id, Version: d.Agent.Version,
		Base:  Base{Branch: d.Base.Branch, Commit: d.Base.Commit},
		Start: timeOf(d.Start), End: timeOf(d.End), Compactions: d.Compactions,
	}
	if d.Parent != nil {
		of, parent, _ := strings.Cut(d.Parent.Session, "/")
		s.Parent = &Parent{Session: parent, Agent: of, Call: d.Parent.Call, Role: d.Parent.Role, Fork: d.Parent.Fork, Method: d.Parent.Method, Inferred: d.Parent.Inferred}
	}
	if d.Total != nil {
		use := d.Total.use()
		s.Total = &use
	}
	s.Team = d.Team
	for _, m := range d.Messages {
		_, id, _ := strings.Cut(m.Session, "/")
		s.Messages = append(s.Messages, Message{Turn: m.Turn, Time: timeOf(m.Time), Received: m.Received, Session: id, Name: m.Name, Kind: m.Kind, Text: sized(m.Bytes)})
	}
	for _, g := range d.Gaps {
		s.Gaps = addGap(s.Gaps, Gap{Kind: g.Kind, Reason: g.Reason, Count: g.Count, Bytes: g.Bytes})
	}
	for _, t := range d.Turns {
		s.Turns = append(s.Turns, t.turn())
	}
	return s
}

func (t DeltaTurn) turn() *Turn {
	turn := &Turn{
		Index: t.Index, ID: t.ID, Origin: t.Origin, Start: timeOf(t.Start), End: timeOf(t.End),
		Prompt: sized(t.Prompt), Answer: sized(t.Answer), Thinking: t.Thinking, Images: t.Images,
		Effort: t.Effort, Mode: t.Mode, Interrupted: t.Interrupted, Errors: t.Errors,
	}
	for _, m := range t.Models {
		turn.Models = append(turn.Models, m.use())
	}
	left := maps.Clone(t.Calls)
	take := func(kind Kind) {
		if left[kind]--; left[kind] <= 0 {
			delete(left, kind)
		}
	}
	written := &Call{Name: "edit", Kind: KindEdit}
	read := &Call{Name: "read", Kind: KindRead}
	for _, f := range t.Files {
		if f.Access == Read {
			read.Files = append(read.Files, f)
		} else {
			written.Files = append(written.Files, f)
		}
	}
	for _, c := range []*Call{read, written} {
		if len(c.Files) > 0 {
			take(c.Kind)
			turn.Calls = append(turn.Calls, c)
		}
	}
	for _, test := range t.Tests {
		take(KindRun)
		turn.Calls = append(turn.Calls, &Call{Name: test.Tool, Kind: KindRun, Test: &test})
	}
	for _, sp := range t.Spawned {
		take(KindSpawn)
		_, id, _ := strings.Cut(sp.Session, "/")
		turn.Calls = append(turn.Calls, &Call{ID: sp.Call, Name: "spawn", Kind: KindSpawn, Spawn: &Spawn{Session: id, Role: sp.Role, Status: sp.Status, Team: sp.Team, Member: sp.Member}})
	}
	for _, kind := range slices.Sorted(maps.Keys(left)) {
		for range min(left[kind], maxCalls) {
			turn.Calls = append(turn.Calls, &Call{Name: string(kind), Kind: kind})
		}
	}
	return turn
}

func (u DeltaUse) use() ModelUse {
	return ModelUse{Model: stemma.Model{Provider: u.Provider, ID: u.Model, Exact: u.Exact}, Usage: u.Usage}
}

func sized(n int64) *Text {
	if n <= 0 {
		return nil
	}
	return &Text{Size: n}
}

func timeOf(s *string) time.Time {
	if s == nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, *s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
