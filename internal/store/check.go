package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
)

// Check finds what is wrong with a batch before anything is written, and gives
// its scopes as they are to be stored: each once, the last of those that
// replace each other, with edges that are complete, sorted and each once. The error is ErrInvalid.
func Check(b Batch) ([]Scope, error) {
	for name := range b.Marks {
		if name == "" {
			return nil, fmt.Errorf("mark without name: %w", stemma.ErrInvalid)
		}
	}
	last := make(map[stemma.NodeID]int, len(b.Scopes))
	for i := range b.Scopes {
		last[b.Scopes[i].ID] = i
	}
	scopes := make([]Scope, 0, len(last))
	for i := range b.Scopes {
		scope := b.Scopes[i]
		if err := checkScope(&scope); err != nil {
			return nil, fmt.Errorf("scope %s: %w", scope.ID, err)
		}
		if last[scope.ID] == i {
			scopes = append(scopes, scope)
		}
	}
	return scopes, nil
}

func checkScope(s *Scope) error {
	if err := checkID(s.ID); err != nil {
		return err
	}
	if s.Gone {
		if len(s.Edges) > 0 || len(s.Keys) > 0 || s.Attribution != nil || s.Tally != nil {
			return fmt.Errorf("gone, yet with content: %w", stemma.ErrInvalid)
		}
		return nil
	}
	edges, err := checkEdges(s.ID, s.Edges)
	if err != nil {
		return err
	}
	s.Edges = edges
	if slices.Contains(s.Keys, "") {
		return fmt.Errorf("empty key: %w", stemma.ErrInvalid)
	}
	if a := s.Attribution; a != nil && (s.ID.Kind != stemma.KindCommit || s.ID.Key != a.Commit) {
		return fmt.Errorf("attribution of commit %q: %w", a.Commit, stemma.ErrInvalid)
	}
	if t := s.Tally; t != nil {
		zero := stemma.NodeID{}
		if t.Node != zero && t.Node != s.ID {
			return fmt.Errorf("tally of %s: %w", t.Node, stemma.ErrInvalid)
		}
		if err := checkCounts(t.Lines, t.Candidate, t.Sessions); err != nil {
			return fmt.Errorf("tally: %w", err)
		}
	}
	return nil
}

func checkEdges(scope stemma.NodeID, given []stemma.Edge) ([]stemma.Edge, error) {
	edges := slices.Clone(given)
	for i := range edges {
		e := &edges[i]
		e.Scope = scope
		if err := checkEdge(e); err != nil {
			return nil, fmt.Errorf("edge %s -%s-> %s: %w", e.From, e.Kind, e.To, err)
		}
	}
	slices.SortFunc(edges, CompareEdges)
	for i := 1; i < len(edges); i++ {
		if CompareEdges(edges[i-1], edges[i]) == 0 && edges[i-1] != edges[i] {
			e := edges[i]
			return nil, fmt.Errorf("edge %s -%s-> %s of source %q: given twice, and different: %w",
				e.From, e.Kind, e.To, e.Source, stemma.ErrInvalid)
		}
	}
	return slices.Compact(edges), nil
}

func checkEdge(e *stemma.Edge) error {
	if err := checkID(e.From); err != nil {
		return err
	}
	if err := checkID(e.To); err != nil {
		return err
	}
	if !e.Kind.Joins(e.From.Kind, e.To.Kind) {
		return fmt.Errorf("its kind cannot join these: %w", stemma.ErrInvalid)
	}
	if c := e.Strength.Confidence; !(c >= 0 && c <= 1) {
		return fmt.Errorf("confidence %v: %w", c, stemma.ErrInvalid)
	}
	return checkCounts(e.Lines, e.Candidate, 0)
}

// CompareEdges orders edges as the contract has it; edges of one source that
// compare equal are one edge.
func CompareEdges(a, b stemma.Edge) int {
	return cmp.Or(
		a.From.Compare(b.From),
		strings.Compare(string(a.Kind), string(b.Kind)),
		a.To.Compare(b.To),
		a.Scope.Compare(b.Scope),
		strings.Compare(a.Source, b.Source),
	)
}

func checkID(id stemma.NodeID) error {
	if !id.Kind.Valid() || id.Key == "" {
		return fmt.Errorf("node %q of kind %q: %w", id.Key, id.Kind, stemma.ErrInvalid)
	}
	return nil
}

func checkCounts(l stemma.Lines, candidate, sessions int) error {
	for _, n := range [...]int{l.AI, l.AIEdited, l.Human, l.Generated, l.Unknown, candidate, sessions} {
		if n < 0 || n > 1<<62 {
			return fmt.Errorf("count %d: %w", n, stemma.ErrInvalid)
		}
	}
	return nil
}
