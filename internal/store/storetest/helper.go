package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

const org = "acme"

// open opens a handle that is closed when the test ends.
func open(t *testing.T, b Backend, organisation string) store.Store {
	t.Helper()
	s := b(t, organisation)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func put(t *testing.T, s store.Store, b store.Batch) {
	t.Helper()
	if err := s.Put(t.Context(), b); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// all collects a sequence; an error ends the test.
func all[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	got, err := collect(seq)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// collect collects a sequence up to its error, after which nothing may come.
func collect[T any](seq iter.Seq2[T, error]) (got []T, err error) {
	for v, e := range seq {
		if err != nil {
			return got, fmt.Errorf("a sequence went on after its error %w", err)
		}
		if err = e; err == nil {
			got = append(got, v)
		}
	}
	return got, err
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	// Bytes are compared as bytes: going through a large predicate element by
	// element takes many seconds.
	raw := cmp.FilterValues(
		func(a, b json.RawMessage) bool { return len(a)+len(b) > 0 },
		cmp.Comparer(func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }))
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), raw); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// content is everything that the graph of a store holds, in the store's order.
type content struct {
	Nodes        []stemma.NodeID
	Edges        []stemma.Edge
	Attributions []stemma.Attribution
	Tallies      []store.Tally
	Paths        []string           // sorted here: the contract states no order
	Keys         []store.KeyedScope // of allKeys, sorted here
	Marks        map[string]string
}

var kinds = []stemma.NodeKind{
	stemma.KindAgent, stemma.KindChange, stemma.KindCommit, stemma.KindModel, stemma.KindPerson, stemma.KindRef,
	stemma.KindRepository, stemma.KindRun, stemma.KindSession, stemma.KindTicket, stemma.KindTurn,
}

func dump(t *testing.T, s store.Store) content {
	t.Helper()
	c, err := read(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(ctx context.Context, s store.Store) (c content, err error) {
	for _, kind := range kinds {
		nodes, err := collect(s.Nodes(ctx, kind, ""))
		if err != nil {
			return c, err
		}
		tallies, err := collect(s.Tallies(ctx, store.TallyQuery{Kind: kind}))
		if err != nil {
			return c, err
		}
		c.Nodes = append(c.Nodes, nodes...)
		c.Tallies = append(c.Tallies, tallies...)
	}
	if c.Edges, err = collect(s.Edges(ctx, store.EdgeQuery{})); err != nil {
		return c, err
	}
	if c.Attributions, err = collect(s.AllAttributions(ctx)); err != nil {
		return c, err
	}
	if c.Paths, err = collect(s.Paths(ctx)); err != nil {
		return c, err
	}
	slices.Sort(c.Paths)
	if c.Keys, err = collect(s.ScopesByKey(ctx, allKeys())); err != nil {
		return c, err
	}
	slices.SortFunc(c.Keys, compareKeyed)
	c.Marks, err = s.Marks(ctx)
	return c, err
}

// want is the content that these scopes and marks must give.
func want(scopes []store.Scope, marks map[string]string) content {
	c := content{Marks: marks}
	nodes := make(map[stemma.NodeID]bool)
	paths := make(map[string]bool)
	for _, s := range scopes {
		if s.Gone {
			continue
		}
		nodes[s.ID] = true
		for _, e := range s.Edges {
			e.Scope = s.ID
			nodes[e.From], nodes[e.To] = true, true
			c.Edges = append(c.Edges, e)
		}
		for _, key := range s.Keys {
			c.Keys = append(c.Keys, store.KeyedScope{Key: key, ID: s.ID})
		}
		if s.Attribution != nil {
			c.Attributions = append(c.Attributions, *s.Attribution)
			for _, f := range s.Attribution.Files {
				paths[f.Path] = true
			}
		}
		if s.Tally != nil {
			tally := *s.Tally
			tally.Node = s.ID
			c.Tallies = append(c.Tallies, tally)
		}
	}
	for id := range nodes {
		c.Nodes = append(c.Nodes, id)
	}
	for path := range paths {
		c.Paths = append(c.Paths, path)
	}
	slices.SortFunc(c.Nodes, stemma.NodeID.Compare)
	slices.SortFunc(c.Edges, compareEdges)
	slices.SortFunc(c.Attributions, func(a, b stemma.Attribution) int { return strings.Compare(a.Commit, b.Commit) })
	slices.SortFunc(c.Tallies, compareTallies)
	slices.Sort(c.Paths)
	slices.SortFunc(c.Keys, compareKeyed)
	c.Keys = slices.Compact(c.Keys)
	return c
}

func compareKeyed(a, b store.KeyedScope) int {
	if c := strings.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	return a.ID.Compare(b.ID)
}

func compareEdges(a, b stemma.Edge) int {
	for _, c := range []int{
		a.From.Compare(b.From), strings.Compare(string(a.Kind), string(b.Kind)), a.To.Compare(b.To), a.Scope.Compare(b.Scope),
	} {
		if c != 0 {
			return c
		}
	}
	return strings.Compare(a.Source, b.Source)
}

// compareTallies orders tallies of several kinds as dump reads them.
func compareTallies(a, b store.Tally) int {
	if c := strings.Compare(string(a.Node.Kind), string(b.Node.Kind)); c != 0 {
		return c
	}
	if a.Time != b.Time {
		if a.Time > b.Time {
			return -1
		}
		return 1
	}
	return strings.Compare(a.Node.Key, b.Node.Key)
}

var declared = stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: "note", Confidence: 1}

func node(kind stemma.NodeKind, key string) stemma.NodeID { return stemma.NodeID{Kind: kind, Key: key} }

func edge(from stemma.NodeID, kind stemma.EdgeKind, to stemma.NodeID) stemma.Edge {
	return stemma.Edge{From: from, Kind: kind, To: to, Source: "git-ai", Strength: declared}
}

// commit is the scope of a commit as an index run makes it: written by a session
// of an agent with a model, in a repository, with a row and a tally.
func commit(n int) store.Scope {
	key := fmt.Sprintf("%040x", n)
	id := stemma.CommitID(key)
	session := stemma.SessionID("claude-code", fmt.Sprint("s", n/3))
	written := edge(id, stemma.EdgeWrittenBy, session)
	written.Lines = stemma.Lines{AI: n + 1, Human: 2}
	written.Candidate = n % 2
	lines := stemma.Lines{AI: n + 1, Human: 2}
	return store.Scope{
		ID: id,
		Edges: []stemma.Edge{
			written,
			edge(id, stemma.EdgeIn, node(stemma.KindRepository, "r")),
			edge(session, stemma.EdgeRan, node(stemma.KindAgent, "claude-code")),
			edge(session, stemma.EdgeUsed, node(stemma.KindModel, fmt.Sprint("anthropic/m", n%2))),
		},
		Keys: []string{patchKey(n), fmt.Sprint("blob:", n%4)},
		Attribution: &stemma.Attribution{
			Commit: key, Time: int64(1000 + n), Lines: lines,
			Owners: []stemma.Owner{{
				Session: session.Key, Agent: "claude-code", Class: stemma.ClassAI, Source: "git-ai", Strength: declared, Lines: n + 1,
			}},
			Files: []stemma.FileLines{
				{Path: fmt.Sprintf("src/%d.go", n%5), Added: n + 1, Whole: true, Ranges: []stemma.OwnedRange{{Start: 1, Owner: 0, Class: stemma.ClassAI}}},
				{Path: fmt.Sprintf("doc/%d.md", n), Added: 2},
			},
			Rest: stemma.ClassHuman, RestOwner: -1, Algorithm: 1, Input: strings.Repeat("0f", 32),
		},
		Tally: &store.Tally{Node: id, Group: "r", Time: int64(1000 + n), Lines: lines, Sessions: 1},
	}
}

func patchKey(n int) string { return fmt.Sprint("patch-id:", n) }

// allKeys are the keys of every commit that the suite makes in large numbers.
func allKeys() []string {
	keys := []string{"blob:0", "blob:1", "blob:2", "blob:3", patchKey(100_000)}
	for n := range 3000 {
		keys = append(keys, patchKey(n))
	}
	return keys
}

func commits(n int) []store.Scope {
	scopes := make([]store.Scope, n)
	for i := range scopes {
		scopes[i] = commit(i)
	}
	return scopes
}
