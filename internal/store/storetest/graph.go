package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

func testNodes(t *testing.T, b Backend) {
	s := open(t, b, org)
	var scopes []store.Scope
	for _, key := range []string{"b", "a", "a/1", "a/2", "a0", "B", "a\xff", "a\xff\xff1"} {
		scopes = append(scopes, store.Scope{ID: node(stemma.KindChange, key)})
	}
	scopes = append(scopes, store.Scope{ID: node(stemma.KindRef, "a/ref")})
	put(t, s, store.Batch{Scopes: scopes})
	for prefix, want := range map[string][]string{
		"":         {"B", "a", "a/1", "a/2", "a0", "a\xff", "a\xff\xff1", "b"},
		"a":        {"a", "a/1", "a/2", "a0", "a\xff", "a\xff\xff1"},
		"a/":       {"a/1", "a/2"},
		"a\xff":    {"a\xff", "a\xff\xff1"},
		"\xff\xff": nil,
		"c":        nil,
	} {
		var got []string
		for _, id := range all(t, s.Nodes(t.Context(), stemma.KindChange, prefix)) {
			got = append(got, id.Key)
		}
		same(t, fmt.Sprintf("nodes with prefix %q", prefix), got, want)
	}
	for id, want := range map[stemma.NodeID]bool{
		node(stemma.KindChange, "a"):      true,
		node(stemma.KindChange, "A"):      false,
		node(stemma.KindRef, "a"):         false,
		node(stemma.KindRef, "a/ref"):     true,
		node(stemma.KindCommit, "a"):      false,
		node(stemma.KindChange, ""):       false,
		node(stemma.NodeKind("hat"), "a"): false,
	} {
		if got, err := s.Node(t.Context(), id); got != want || err != nil {
			t.Errorf("Node(%s) = %v, %v, want %v", id, got, err, want)
		}
	}
}

// oddKeys are keys that a text column, a collation or a page size may spoil.
func oddKeys() []string {
	return []string{
		"a", "A", "ab", "Ab", "a\nb", "a b", "a'b", `a"b`, "a%b", "a_b", "\x01", "\x7f", "\x80", "\xff", "\xfe\xff",
		"é", "e\u0301", "ﬀ", "😀", "😀a", "日本", "1", "10", "2", "0x1", "null", "a:b", "a@b!c#1", " ", "  ",
		strings.Repeat("k", 10<<10), strings.Repeat("k", 10<<10) + "1", strings.Repeat("k", 9<<10),
	}
}

func testOddKeys(t *testing.T, b Backend) {
	s := open(t, b, org)
	keys := oddKeys()
	var scopes []store.Scope
	for i, key := range keys {
		id := node(stemma.KindCommit, key)
		session := node(stemma.KindSession, key)
		scopes = append(scopes, store.Scope{
			ID:          id,
			Edges:       []stemma.Edge{edge(id, stemma.EdgeWrittenBy, session)},
			Tally:       &store.Tally{Time: 5, Group: keys[len(keys)-1-i]},
			Attribution: &stemma.Attribution{Commit: key, RestOwner: -1, Files: []stemma.FileLines{{Path: key, Added: i}}},
		})
	}
	put(t, s, store.Batch{Scopes: scopes, Marks: map[string]string{"x": "y"}})
	same(t, "content", dump(t, open(t, b, org)), want(scopes, map[string]string{"x": "y"}))
	for _, key := range keys {
		id := node(stemma.KindCommit, key)
		if found, err := s.Node(t.Context(), id); !found || err != nil {
			t.Errorf("Node(%.20q) = %v, %v, want true", key, found, err)
		}
		if got := all(t, s.Edges(t.Context(), store.EdgeQuery{From: []stemma.NodeID{id}})); len(got) != 1 || got[0].From != id {
			t.Errorf("Edges from %.20q gave %d edges, want its own", key, len(got))
		}
		if got := all(t, s.Attributions(t.Context(), []string{key})); len(got) != 1 || got[0].Commit != key {
			t.Errorf("Attributions of %.20q gave %d rows, want its own", key, len(got))
		}
		if got := all(t, s.CommitsTouching(t.Context(), []string{key})); !slices.Equal(got, []string{key}) {
			t.Errorf("CommitsTouching(%.20q) gave %d commits, want its own", key, len(got))
		}
	}
}

func testEdgeQueries(t *testing.T, b Backend) {
	s := open(t, b, org)
	scopes := commits(30)
	// A scope whose edges begin at other nodes.
	change := node(stemma.KindChange, "r@1")
	other := store.Scope{ID: change}
	for i := range 5 {
		other.Edges = append(other.Edges, edge(scopes[i].ID, stemma.EdgePartOf, change))
	}
	scopes = append(scopes, other)
	put(t, s, store.Batch{Scopes: scopes})
	whole := want(scopes, nil).Edges

	commitIDs := func(ns ...int) (ids []stemma.NodeID) {
		for _, n := range ns {
			ids = append(ids, scopes[n].ID)
		}
		return ids
	}
	model := node(stemma.KindModel, "anthropic/m0")
	missing := node(stemma.KindSession, "none")
	for name, q := range map[string]store.EdgeQuery{
		"everything":     {},
		"from":           {From: commitIDs(7, 3, 3, 0)},
		"from hub":       {From: []stemma.NodeID{model}},
		"to":             {To: []stemma.NodeID{model}},
		"to many":        {To: []stemma.NodeID{model, stemma.SessionID("claude-code", "s1"), change}},
		"scope":          {Scope: commitIDs(1, 2)},
		"scope of other": {Scope: []stemma.NodeID{change}},
		"scopes":         {Scope: append(commitIDs(1), change)},
		"kind":           {Kinds: []stemma.EdgeKind{stemma.EdgeUsed, stemma.EdgePartOf}},
		"from and to":    {From: commitIDs(1, 2, 3), To: []stemma.NodeID{change}},
		"to and from":    {From: commitIDs(1), To: []stemma.NodeID{change, model}},
		"all fields":     {From: commitIDs(1, 2, 9), To: []stemma.NodeID{change}, Scope: []stemma.NodeID{change}, Kinds: []stemma.EdgeKind{stemma.EdgePartOf}},
		"to and scope":   {To: []stemma.NodeID{model}, Scope: commitIDs(2, 4)},
		"missing":        {From: []stemma.NodeID{missing}},
		"with missing":   {From: append(commitIDs(4), missing)},
		"missing kind":   {Kinds: []stemma.EdgeKind{stemma.EdgeFixes}},
		"no from":        {From: []stemma.NodeID{}},
		"no to":          {To: []stemma.NodeID{}},
		"no scope":       {Scope: []stemma.NodeID{}},
		"no kind":        {Kinds: []stemma.EdgeKind{}},
	} {
		in := func(ids []stemma.NodeID, id stemma.NodeID) bool { return ids == nil || slices.Contains(ids, id) }
		var want []stemma.Edge
		for _, e := range whole {
			if in(q.From, e.From) && in(q.To, e.To) && in(q.Scope, e.Scope) && (q.Kinds == nil || slices.Contains(q.Kinds, e.Kind)) {
				want = append(want, e)
			}
		}
		same(t, "edges: "+name, all(t, s.Edges(t.Context(), q)), want)
	}
}

func testEdgeOrder(t *testing.T, b Backend) {
	s := open(t, b, org)
	// Kinds are met in an order that is not theirs, with keys that are not either,
	// in more nodes than a backend reads at once.
	var scopes []store.Scope
	for i := range 1100 {
		n := (i * 7919) % 1100
		id := stemma.CommitID(fmt.Sprint(n))
		scope := store.Scope{ID: id}
		for j := range n % 3 {
			scope.Edges = append(scope.Edges, edge(id, stemma.EdgeWrittenBy, stemma.SessionID("z", fmt.Sprint(9-j))))
		}
		scope.Edges = append(scope.Edges,
			edge(id, stemma.EdgeIn, node(stemma.KindRepository, "r")),
			edge(stemma.SessionID("z", fmt.Sprint(n)), stemma.EdgeUsed, node(stemma.KindModel, "m")),
			edge(id, stemma.EdgeFixes, stemma.CommitID(fmt.Sprint(n+1))),
		)
		second := edge(id, stemma.EdgeIn, node(stemma.KindRepository, "r"))
		second.Source = "another"
		scope.Edges = append(scope.Edges, second)
		scopes = append(scopes, scope)
	}
	put(t, s, store.Batch{Scopes: scopes})
	whole := want(scopes, nil).Edges
	same(t, "all edges", all(t, s.Edges(t.Context(), store.EdgeQuery{})), whole)

	var from []stemma.NodeID
	for _, scope := range scopes {
		from = append(from, scope.ID)
	}
	same(t, "edges from commits", all(t, s.Edges(t.Context(), store.EdgeQuery{From: from})),
		slices.DeleteFunc(slices.Clone(whole), func(e stemma.Edge) bool { return e.From.Kind != stemma.KindCommit }))
	same(t, "edges to the repository", all(t, s.Edges(t.Context(), store.EdgeQuery{To: []stemma.NodeID{node(stemma.KindRepository, "r")}})),
		slices.DeleteFunc(slices.Clone(whole), func(e stemma.Edge) bool { return e.Kind != stemma.EdgeIn }))
}

func testEdgeValues(t *testing.T, b Backend) {
	s := open(t, b, org)
	id := stemma.CommitID("c")
	scope := store.Scope{ID: id, Edges: []stemma.Edge{
		{From: id, Kind: stemma.EdgeIn, To: node(stemma.KindRepository, "bare")},
		{
			From: id, Kind: stemma.EdgeWrittenBy, To: stemma.SessionID("a", "1"), Source: "so\x00urce\xff",
			Strength:  stemma.Strength{Tier: stemma.TierAttested, Assertion: stemma.Inferred, Method: "", Confidence: 0.1},
			Lines:     stemma.Lines{AI: 1, AIEdited: 2, Human: 3, Generated: 4, Unknown: 1 << 40},
			Candidate: 6,
		},
		{
			From: id, Kind: stemma.EdgeWrittenBy, To: stemma.SessionID("a", "1"), Source: "so",
			Strength: stemma.Strength{Tier: stemma.TierObserved, Assertion: stemma.Observed, Method: "\x00urce", Confidence: 1},
			Lines:    stemma.Lines{Unknown: 5},
		},
		{From: id, Kind: stemma.EdgeWrittenBy, To: stemma.SessionID("a", "2"), Candidate: 7, Strength: stemma.Strength{Confidence: 1.0 / 3}},
	}}
	// The store sets the scope; what the caller left there does not matter.
	scope.Edges[1].Scope = stemma.CommitID("elsewhere")
	put(t, s, store.Batch{Scopes: []store.Scope{scope}})
	same(t, "edges", dump(t, s), want([]store.Scope{scope}, nil))
	if got, want := scope.Edges[0].Scope, (stemma.NodeID{}); got != want {
		t.Errorf("Put changed the caller's edge: scope %v, want %v", got, want)
	}
}

func testManyIDs(t *testing.T, b Backend) {
	const n = 50_000
	s := open(t, b, org)
	scopes := commits(40)
	put(t, s, store.Batch{Scopes: scopes})
	ids := make([]stemma.NodeID, n)
	keys := make([]string, n)
	for i := range ids {
		keys[i] = fmt.Sprintf("%040x", i)
		ids[i] = stemma.CommitID(keys[i])
	}
	var wantFrom []stemma.Edge
	for _, e := range want(scopes, nil).Edges {
		if e.From.Kind == stemma.KindCommit {
			wantFrom = append(wantFrom, e)
		}
	}
	same(t, "edges from 50,000 nodes", all(t, s.Edges(t.Context(), store.EdgeQuery{From: ids})), wantFrom)
	same(t, "edges of 50,000 scopes", all(t, s.Edges(t.Context(), store.EdgeQuery{Scope: ids})), want(scopes, nil).Edges)
	same(t, "edges to 50,000 nodes", all(t, s.Edges(t.Context(), store.EdgeQuery{To: ids})), nil)
	if got := len(all(t, s.Attributions(t.Context(), keys))); got != len(scopes) {
		t.Errorf("Attributions of 50,000 commits gave %d rows, want %d", got, len(scopes))
	}
	if got := len(all(t, s.Tallies(t.Context(), store.TallyQuery{Kind: stemma.KindCommit, Nodes: ids}))); got != len(scopes) {
		t.Errorf("Tallies of 50,000 commits gave %d, want %d", got, len(scopes))
	}
	paths := make([]string, 2000)
	for i := range paths {
		paths[i] = fmt.Sprintf("doc/%d.md", i)
	}
	if got := len(all(t, s.CommitsTouching(t.Context(), paths))); got != len(scopes) {
		t.Errorf("CommitsTouching 2,000 paths gave %d commits, want %d", got, len(scopes))
	}
}
