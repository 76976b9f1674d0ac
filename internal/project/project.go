// Package project answers what the graph says, given the evidence. Its pure
// part is here: [Observed] folds ref observations in the order of the log, and
// [Commit] and [Change] derive the facts of one scope, which are recomputed as
// a whole whenever something they depend on changes.
//
// The order of arrival never matters: the same evidence gives the same
// [Dump]. It reads no git and no clock.
package project

import (
	"cmp"
	"maps"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// Refs is where the refs of a repository were last seen, by full name.
type Refs map[string]stemma.RefMove

// Moves gives what changed from r to now, by name; From is set from r.
func (r Refs) Moves(now Refs) []stemma.RefMove {
	var moves []stemma.RefMove
	for _, name := range slices.Sorted(maps.Keys(now)) {
		at, from := now[name], r[name]
		if at.At != from.At || at.Target != from.Target {
			moves = append(moves, stemma.RefMove{Name: name, At: at.At, From: from.At, Target: at.Target})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if _, ok := now[name]; !ok {
			moves = append(moves, stemma.RefMove{Name: name, From: r[name].At})
		}
	}
	slices.SortFunc(moves, func(a, b stemma.RefMove) int { return cmp.Compare(a.Name, b.Name) })
	return moves
}

// seen is the strength of what git itself shows, on a developer's machine.
func seen(method string) stemma.Strength {
	return stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Observed, Method: method, Confidence: 1}
}

// Commit derives the facts of one commit of a repository from its row.
func Commit(row stemma.Attribution, repository string) store.Scope {
	id := stemma.CommitID(row.Commit)
	scope := store.Scope{
		ID:          id,
		Attribution: &row,
		Edges: []stemma.Edge{{
			From: id, Kind: stemma.EdgeIn, To: stemma.NodeID{Kind: stemma.KindRepository, Key: repository},
			Source: "git", Strength: seen("reached by a ref"),
		}},
	}
	tally := store.Tally{
		Node: id, Group: repository, Time: row.Time, Merge: row.Merge,
		Lines: row.Lines, Unreadable: row.Unreadable != "",
	}
	written := make(map[stemma.NodeID]int)
	made := make(map[stemma.Edge]bool)
	scope.Edges = append(scope.Edges, rewrites(id, row.Owners)...)
	for _, o := range row.Owners {
		to := OwnerID(o)
		i, ok := written[to]
		if !ok {
			i = len(scope.Edges)
			written[to] = i
			scope.Edges = append(scope.Edges, stemma.Edge{
				From: id, Kind: stemma.EdgeWrittenBy, To: to, Source: o.Source, Strength: o.Strength,
			})
		}
		if o.Lines > 0 {
			scope.Edges[i].Lines.Count(o.Class, o.Lines)
		}
		scope.Edges[i].Candidate = max(scope.Edges[i].Candidate, o.Candidate)
		tally.Candidate = max(tally.Candidate, o.Candidate)
		if o.Session == "" {
			continue
		}
		if !ok {
			tally.Sessions++
		}
		for _, e := range sessionEdges(to, o) {
			key := stemma.Edge{From: e.From, Kind: e.Kind, To: e.To}
			if !made[key] {
				made[key] = true
				scope.Edges = append(scope.Edges, e)
			}
		}
	}
	scope.Tally = &tally
	return scope
}

// Outside derives the facts of a commit that is not in the repository, because
// no ref reaches it: it is kept for the lines that other commits have from it,
// and no total counts it.
func Outside(row stemma.Attribution, repository string) store.Scope {
	scope := Commit(row, repository)
	scope.Tally = nil
	scope.Edges = slices.DeleteFunc(scope.Edges, func(e stemma.Edge) bool { return e.Kind == stemma.EdgeIn })
	return scope
}

// rewrites joins a commit to those that its lines came by, each by the rule that
// gave it most of them. A commit that only contradicts another is among them.
func rewrites(id stemma.NodeID, owners []stemma.Owner) []stemma.Edge {
	type by struct{ via, rule string }
	lines := make(map[by]int)
	strength := make(map[by]stemma.Strength)
	for _, o := range owners {
		if o.Via != "" {
			k := by{o.Via, o.Strength.Method}
			lines[k] += o.Lines
			strength[k] = o.Strength
		}
	}
	best := make(map[string]by)
	for k, n := range lines {
		b, ok := best[k.via]
		if !ok || n > lines[b] || n == lines[b] && strength[k].Confidence > strength[b].Confidence ||
			n == lines[b] && strength[k].Confidence == strength[b].Confidence && k.rule < b.rule {
			best[k.via] = k
		}
	}
	var edges []stemma.Edge
	for _, via := range slices.Sorted(maps.Keys(best)) {
		s := strength[best[via]]
		s.Tier = stemma.TierClaimed
		edges = append(edges, stemma.Edge{From: id, Kind: stemma.EdgeRewriteOf, To: stemma.CommitID(via), Source: "git", Strength: s})
	}
	return edges
}

// OwnerID is the node of an owner: a session or a person.
func OwnerID(o stemma.Owner) stemma.NodeID {
	if o.Session != "" {
		return stemma.NodeID{Kind: stemma.KindSession, Key: o.Session}
	}
	return stemma.NodeID{Kind: stemma.KindPerson, Key: o.Person}
}

// sessionEdges joins a session to its agent and its model.
func sessionEdges(session stemma.NodeID, o stemma.Owner) []stemma.Edge {
	edges := []stemma.Edge{{
		From: session, Kind: stemma.EdgeRan, To: stemma.NodeID{Kind: stemma.KindAgent, Key: o.Agent},
		Source: o.Source, Strength: o.Strength,
	}}
	if o.Model.Known() {
		edges = append(edges, stemma.Edge{
			From: session, Kind: stemma.EdgeUsed, To: stemma.NodeID{Kind: stemma.KindModel, Key: o.Model.Key()},
			Source: o.Source, Strength: o.StrengthOfModel(),
		})
	}
	return edges
}

// Member is a commit of a change, as far as the change's facts need it.
type Member struct {
	Tally    store.Tally
	Sessions []string // keys of the sessions with lines or as candidates
}

// Change derives the facts of a change that entered ref with the commit oid,
// and that brought these commits: oid itself and what it merged.
func Change(repository, ref, oid string, members []Member) store.Scope {
	id := stemma.ChangeID(repository, oid)
	scope := store.Scope{
		ID: id,
		Edges: []stemma.Edge{{
			From: id, Kind: stemma.EdgeInto, To: stemma.RefID(repository, ref),
			Source: "git", Strength: seen("first parent of the default branch"),
		}},
	}
	tally := store.Tally{Node: id, Group: repository}
	sessions := make(map[string]bool)
	for _, m := range members {
		scope.Edges = append(scope.Edges, stemma.Edge{
			From: m.Tally.Node, Kind: stemma.EdgePartOf, To: id,
			Source: "git", Strength: seen("reached first by this change"),
		})
		if m.Tally.Node.Key == oid {
			tally.Time, tally.Merge = m.Tally.Time, m.Tally.Merge
		}
		tally.Lines = tally.Lines.Plus(m.Tally.Lines)
		tally.Candidate += m.Tally.Candidate
		tally.Unreadable = tally.Unreadable || m.Tally.Unreadable
		for _, s := range m.Sessions {
			sessions[s] = true
		}
	}
	tally.Sessions = len(sessions)
	scope.Tally = &tally
	return scope
}
