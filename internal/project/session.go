package project

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/store"
)

// Sessions folds statements about sessions, in whatever order they come. The
// zero Sessions is empty.
type Sessions struct {
	parts map[string][]agent.Delta
}

// Fold applies one statement. One of another type changes nothing. The error is
// of kind stemma.ErrInvalid when the predicate can not be read.
func (s *Sessions) Fold(st stemma.Statement) error {
	if st.PredicateType != agent.StatementType {
		return nil
	}
	d, err := attest.As[agent.Delta](st)
	if err == nil {
		err = d.Validate()
	}
	if err != nil {
		return fmt.Errorf("statement about a session: %w", err)
	}
	if s.parts == nil {
		s.parts = make(map[string][]agent.Delta)
	}
	s.parts[d.Session] = append(s.parts[d.Session], d)
	return nil
}

// Len is of how many sessions something was folded.
func (s *Sessions) Len() int { return len(s.parts) }

// Drain leaves none of the sessions, and puts their keys among others.
func (s *Sessions) Drain(keys map[string]bool) {
	for key := range s.parts {
		keys[key] = true
	}
	s.parts = nil
}

// Tales gives all sessions, by key.
func (s *Sessions) Tales() []agent.Tale {
	var all []agent.Tale
	for _, parts := range s.parts {
		all = append(all, agent.Retell(parts))
	}
	slices.SortFunc(all, func(a, b agent.Tale) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

// SessionVersion is the version of what [Session] derives.
const SessionVersion = 4

// Session derives the facts of one session: which agent ran and which models it
// used, what spawned it and what it spawned, what it worked on and what
// configured it. Its keys are what it is found by: see [TaskTypeKey] and the others.
func Session(t agent.Tale) store.Scope {
	id := stemma.NodeID{Kind: stemma.KindSession, Key: t.Key}
	scope := store.Scope{ID: id, Keys: sessionKeys(t)}
	add := func(from stemma.NodeID, kind stemma.EdgeKind, to stemma.NodeID, method string) {
		if to.Key == "" || from == to {
			return
		}
		e := stemma.Edge{From: from, Kind: kind, To: to, Source: "session", Strength: stemma.Strength{
			Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: method, Confidence: 1,
		}}
		for _, have := range scope.Edges {
			if have.From == from && have.Kind == kind && have.To == to {
				return
			}
		}
		scope.Edges = append(scope.Edges, e)
	}
	s := &t.Session
	add(id, stemma.EdgeRan, stemma.NodeID{Kind: stemma.KindAgent, Key: s.Agent}, "transcript")
	if p := s.Parent; p != nil {
		add(id, stemma.EdgeSpawnedBy, stemma.SessionID(cmp.Or(p.Agent, s.Agent), p.Session), p.Method)
		if n := len(scope.Edges); p.Inferred && scope.Edges[n-1].Kind == stemma.EdgeSpawnedBy {
			scope.Edges[n-1].Strength.Assertion, scope.Edges[n-1].Strength.Confidence = stemma.Inferred, 0.7
		}
	}
	for _, turn := range s.Turns {
		for _, m := range turn.Models {
			add(id, stemma.EdgeUsed, stemma.NodeID{Kind: stemma.KindModel, Key: m.Model.Key()}, "transcript")
		}
		for _, c := range turn.Calls {
			if c.Spawn == nil || c.ID == "" {
				continue
			}
			task := stemma.NodeID{Kind: stemma.KindTask, Key: t.Key + "/" + c.ID}
			add(task, stemma.EdgePlannedBy, id, "call that spawned a session")
			if c.Spawn.Session != "" {
				child := stemma.SessionID(s.Agent, c.Spawn.Session)
				add(child, stemma.EdgeWorkedOn, task, "call that spawned it")
				add(child, stemma.EdgeSpawnedBy, id, "call of the parent")
			}
		}
	}
	for _, m := range s.Messages {
		if m.Session == "" {
			continue // known by its name in the team only, which other sessions resolve
		}
		if peer := stemma.SessionID(s.Agent, m.Session); m.Received {
			add(id, stemma.EdgeToldBy, peer, "message between sessions")
		} else {
			add(peer, stemma.EdgeToldBy, id, "message between sessions")
		}
	}
	for _, ticket := range t.Tickets {
		e := stemma.NodeID{Kind: stemma.KindTicket, Key: "named/" + ticket}
		add(id, stemma.EdgeWorkedOn, e, "named in a prompt")
		last := &scope.Edges[len(scope.Edges)-1]
		if last.To == e {
			last.Strength.Assertion, last.Strength.Confidence = stemma.Inferred, 0.5
		}
	}
	for _, c := range t.Config {
		add(id, stemma.EdgeConfiguredBy, stemma.NodeID{Kind: stemma.KindConfig, Key: "sha256:" + c.Digest}, c.Kind+" of the "+c.Scope)
	}
	for _, c := range t.Commits {
		// Which lines are its is not told: it is their candidate.
		scope.Edges = append(scope.Edges, stemma.Edge{
			From: stemma.CommitID(c.Commit), Kind: stemma.EdgeWrittenBy, To: id, Source: "session", Candidate: c.Lines,
			Strength: stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: c.Method, Confidence: c.Confidence},
		})
	}
	return scope
}
