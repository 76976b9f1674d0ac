package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

func testPutAgain(t *testing.T, b Backend) {
	s := open(t, b, org)
	batch := store.Batch{
		Scopes: commits(50),
		Marks:  map[string]string{"at": "1"},
	}
	put(t, s, batch)
	wanted := want(batch.Scopes, batch.Marks)
	same(t, "content", dump(t, s), wanted)
	for _, again := range []store.Store{s, open(t, b, org)} {
		put(t, again, batch)
		same(t, "content put again", dump(t, s), wanted)
	}

	// An edge that is given twice in one scope is one edge.
	twice := commit(3)
	twice.Edges = append(twice.Edges, twice.Edges...)
	put(t, s, store.Batch{Scopes: []store.Scope{twice}})
	same(t, "content with an edge given twice", dump(t, s), wanted)
}

func testReplace(t *testing.T, b Backend) {
	s := open(t, b, org)
	scopes := commits(20)
	put(t, s, store.Batch{Scopes: scopes})
	// Less, more, other, and nothing at all.
	scopes[2].Edges = scopes[2].Edges[:1]
	scopes[3].Edges = append(scopes[3].Edges, edge(scopes[3].ID, stemma.EdgeWrittenBy, node(stemma.KindPerson, "p")))
	scopes[4] = commit(4)
	scopes[4].Tally.Time, scopes[4].Attribution.Files[0].Path = 9999, "moved"
	scopes[4].Edges[0].Lines.AI = 77
	scopes[5] = store.Scope{ID: scopes[5].ID}
	scopes[6].Tally, scopes[7].Attribution = nil, nil
	scopes[7].Keys, scopes[8].Keys = nil, []string{patchKey(9), patchKey(10), patchKey(9)}
	put(t, s, store.Batch{Scopes: scopes[2:9]})
	same(t, "content", dump(t, s), want(scopes, nil))
	// And back again.
	put(t, s, store.Batch{Scopes: commits(20)})
	same(t, "content put back", dump(t, s), want(commits(20), nil))
}

func testGone(t *testing.T, b Backend) {
	s := open(t, b, org)
	scopes := commits(9)
	put(t, s, store.Batch{Scopes: scopes})
	gone := []store.Scope{{ID: scopes[1].ID, Gone: true}, {ID: scopes[8].ID, Gone: true}, {ID: stemma.CommitID("never"), Gone: true}}
	for range 2 {
		put(t, s, store.Batch{Scopes: gone})
		same(t, "content", dump(t, s), want(append(slices.Clone(scopes[2:8]), scopes[0]), nil))
	}
	put(t, s, store.Batch{Scopes: []store.Scope{scopes[1], scopes[8]}})
	same(t, "content with the scopes back", dump(t, s), want(scopes, nil))

	for i := range scopes {
		scopes[i] = store.Scope{ID: scopes[i].ID, Gone: true}
	}
	put(t, s, store.Batch{Scopes: scopes})
	same(t, "content of nothing", dump(t, s), content{})
}

func testLaterScopeWins(t *testing.T, b Backend) {
	s := open(t, b, org)
	first, second := commit(1), commit(1)
	first.Edges = append(first.Edges, edge(first.ID, stemma.EdgeWrittenBy, node(stemma.KindPerson, "p")))
	second.Tally.Time = 5
	put(t, s, store.Batch{Scopes: []store.Scope{first, commit(2), second}})
	same(t, "content", dump(t, s), want([]store.Scope{commit(2), second}, nil))
	put(t, s, store.Batch{Scopes: []store.Scope{first, {ID: first.ID, Gone: true}}})
	same(t, "content", dump(t, s), want([]store.Scope{commit(2)}, nil))
}

func testSweep(t *testing.T, b Backend) {
	s := open(t, b, org)
	a, c := stemma.CommitID("a"), stemma.CommitID("c")
	person := node(stemma.KindPerson, "p")
	session := stemma.SessionID("x", "1")
	model := node(stemma.KindModel, "m")
	check := func(what string, wanted ...stemma.NodeID) {
		t.Helper()
		slices.SortFunc(wanted, stemma.NodeID.Compare)
		same(t, "nodes: "+what, dump(t, s).Nodes, wanted)
	}
	put(t, s, store.Batch{Scopes: []store.Scope{
		{ID: a, Edges: []stemma.Edge{edge(a, stemma.EdgeWrittenBy, session), edge(a, stemma.EdgeWrittenBy, person), edge(session, stemma.EdgeUsed, model)}},
		{ID: c, Edges: []stemma.Edge{edge(c, stemma.EdgeWrittenBy, session), edge(c, stemma.EdgeFixes, a)}},
	}})
	check("all", a, c, person, session, model)
	put(t, s, store.Batch{Scopes: []store.Scope{{ID: a, Gone: true}}})
	check("the scope is gone, but an edge touches its node", a, c, session)
	put(t, s, store.Batch{Scopes: []store.Scope{{ID: c}}})
	check("the scope has no edges", c)
	put(t, s, store.Batch{Scopes: []store.Scope{
		{ID: c, Gone: true},
		{ID: a, Edges: []stemma.Edge{edge(c, stemma.EdgeRewriteOf, a)}},
	}})
	check("gone, and touched anew in the same batch", a, c)
	put(t, s, store.Batch{Scopes: []store.Scope{{ID: a, Edges: []stemma.Edge{edge(a, stemma.EdgeWrittenBy, person)}}}})
	check("the touching edge is replaced", a, person)
	put(t, s, store.Batch{Scopes: []store.Scope{{ID: person}, {ID: a, Gone: true}}})
	check("an end that became a scope", person)
	put(t, s, store.Batch{Scopes: []store.Scope{{ID: person, Gone: true}}})
	check("nothing")
}

func testAtomic(t *testing.T, b Backend) {
	s := open(t, b, org)
	good := store.Batch{Scopes: commits(10), Marks: map[string]string{"at": "1"}}
	put(t, s, good)
	wanted := want(good.Scopes, good.Marks)
	id := stemma.CommitID("x")
	session := stemma.SessionID("a", "1")
	strong := edge(id, stemma.EdgeWrittenBy, session)
	strong.Strength.Confidence = math.NaN()
	other := edge(id, stemma.EdgeWrittenBy, session)
	other.Lines.AI = 3
	negative := edge(id, stemma.EdgeWrittenBy, session)
	negative.Candidate = -1
	for name, bad := range map[string]store.Scope{
		"edge that cannot join": {ID: id, Edges: []stemma.Edge{edge(id, stemma.EdgeUsed, node(stemma.KindModel, "m"))}},
		"edge turned around":    {ID: id, Edges: []stemma.Edge{edge(session, stemma.EdgeWrittenBy, id)}},
		"unknown edge kind":     {ID: id, Edges: []stemma.Edge{edge(id, "LIKES", session)}},
		"unknown node kind":     {ID: node("hat", "x")},
		"empty key":             {ID: node(stemma.KindCommit, "")},
		"empty end":             {ID: id, Edges: []stemma.Edge{edge(id, stemma.EdgeWrittenBy, node(stemma.KindSession, ""))}},
		"confidence":            {ID: id, Edges: []stemma.Edge{strong}},
		"negative count":        {ID: id, Edges: []stemma.Edge{negative}},
		"one edge, two values":  {ID: id, Edges: []stemma.Edge{edge(id, stemma.EdgeWrittenBy, session), other}},
		"row of another commit": {ID: id, Attribution: &stemma.Attribution{Commit: "y", RestOwner: -1}},
		"row of a session":      {ID: session, Attribution: &stemma.Attribution{Commit: session.Key, RestOwner: -1}},
		"row out of range":      {ID: id, Attribution: &stemma.Attribution{Commit: "x", RestOwner: 3}},
		"row with a class":      {ID: id, Attribution: &stemma.Attribution{Commit: "x", RestOwner: -1, Rest: "robot"}},
		"tally of another node": {ID: id, Tally: &store.Tally{Node: session}},
		"negative tally":        {ID: id, Tally: &store.Tally{Lines: stemma.Lines{AI: -1}}},
		"empty scope key":       {ID: id, Keys: []string{"a", ""}},
		"gone with a key":       {ID: id, Gone: true, Keys: []string{"a"}},
		"gone with content":     {ID: id, Gone: true, Tally: &store.Tally{}},
	} {
		changed := commit(1)
		changed.Tally.Time = 1
		err := s.Put(t.Context(), store.Batch{
			Scopes: []store.Scope{changed, commit(20), {ID: commit(2).ID, Gone: true}, bad, commit(21)},
			Marks:  map[string]string{"at": "2", "new": "1"},
		})
		if !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: Put error = %v, want ErrInvalid", name, err)
		}
		same(t, name+": content", dump(t, s), wanted)
	}
	// The store is as good as before: nothing of the bad batches is remembered.
	put(t, s, store.Batch{Scopes: commits(30)})
	same(t, "content after bad batches", dump(t, open(t, b, org)), want(commits(30), good.Marks))
}

func testDropGraph(t *testing.T, b Backend) {
	s := open(t, b, org)
	batch := store.Batch{
		Scopes: commits(300),
		Marks:  map[string]string{"at": "1"},
	}
	put(t, s, batch)
	before := dump(t, s)
	if err := s.DropGraph(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "content after DropGraph", dump(t, s), content{})
	// In another order and in other batches: the content is the same.
	slices.Reverse(batch.Scopes)
	for chunk := range slices.Chunk(batch.Scopes, 70) {
		put(t, s, store.Batch{Scopes: chunk})
	}
	put(t, s, store.Batch{Marks: batch.Marks})
	same(t, "content refilled", dump(t, s), before)
}

// Another handle may remember what no longer holds.
func testDropUnderHandle(t *testing.T, b Backend) {
	first, second := open(t, b, org), open(t, b, org)
	put(t, first, store.Batch{Scopes: commits(20)})
	put(t, second, store.Batch{Scopes: commits(25)})
	dump(t, second)
	if err := first.DropGraph(t.Context()); err != nil {
		t.Fatal(err)
	}
	odd := commit(7)
	odd.Attribution.Files[0].Path = "elsewhere"
	put(t, first, store.Batch{Scopes: []store.Scope{odd}})
	put(t, second, store.Batch{Scopes: []store.Scope{commit(3)}})
	wanted := want([]store.Scope{odd, commit(3)}, nil)
	same(t, "content of the first", dump(t, first), wanted)
	same(t, "content of the second", dump(t, second), wanted)
}

// Whatever was put and removed before, the content is that of the last scopes.
func testModel(t *testing.T, b Backend) {
	rnd := rand.New(rand.NewPCG(7, 7))
	handles := []store.Store{open(t, b, org), open(t, b, org)}
	model := make(map[stemma.NodeID]store.Scope)
	marks := make(map[string]string)
	for round := range 60 {
		batch := store.Batch{Marks: map[string]string{fmt.Sprint("m", rnd.IntN(3)): fmt.Sprint(round)}}
		for range 1 + rnd.IntN(12) {
			scope := randomScope(rnd)
			batch.Scopes = append(batch.Scopes, scope)
			if scope.Gone {
				delete(model, scope.ID)
			} else {
				model[scope.ID] = scope
			}
		}
		maps.Copy(marks, batch.Marks)
		put(t, handles[round%2], batch)
		if round%5 != 4 {
			continue
		}
		same(t, fmt.Sprint("content after round ", round), dump(t, handles[rnd.IntN(2)]), want(slices.Collect(maps.Values(model)), marks))
		if t.Failed() {
			return
		}
	}
}

func randomScope(rnd *rand.Rand) store.Scope {
	n := rnd.IntN(15)
	scope := commit(n)
	switch rnd.IntN(5) {
	case 0:
		return store.Scope{ID: scope.ID, Gone: true}
	case 1:
		change := node(stemma.KindChange, fmt.Sprint(n))
		scope := store.Scope{ID: change, Tally: &store.Tally{Node: change, Group: fmt.Sprint(n % 2), Time: rnd.Int64N(3)}}
		for range rnd.IntN(4) {
			scope.Edges = append(scope.Edges, edge(commit(rnd.IntN(15)).ID, stemma.EdgePartOf, change))
		}
		slices.SortFunc(scope.Edges, compareEdges)
		scope.Edges = slices.Compact(scope.Edges)
		return scope
	case 2:
		scope.Tally = nil
	case 3:
		scope.Edges = scope.Edges[:rnd.IntN(len(scope.Edges))]
		scope.Tally.Time = rnd.Int64N(4)
	default:
		scope.Keys = scope.Keys[:rnd.IntN(3)]
		scope.Attribution.Files[0].Path = fmt.Sprint(rnd.IntN(9))
	}
	return scope
}

func testOrganisations(t *testing.T, b Backend) {
	acme, other := open(t, b, org), open(t, b, "other")
	put(t, acme, store.Batch{Scopes: commits(20), Marks: map[string]string{"at": "1"}})
	same(t, "content of the other", dump(t, other), content{})

	put(t, other, store.Batch{Scopes: commits(3)})
	same(t, "content of acme", dump(t, acme), want(commits(20), map[string]string{"at": "1"}))
	same(t, "content of the other", dump(t, other), want(commits(3), nil))
	if got := all(t, other.CommitsTouching(t.Context(), []string{"doc/10.md"})); len(got) != 0 {
		t.Errorf("the other finds commits of acme by path: %q", got)
	}
	if found, err := other.Node(t.Context(), commit(10).ID); found || err != nil {
		t.Errorf("the other finds a node of acme: %v, %v", found, err)
	}

	if err := acme.DropGraph(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, "content of the other after acme dropped its graph", dump(t, open(t, b, "other")), want(commits(3), nil))
	same(t, "content of acme after it dropped its graph", dump(t, acme), content{})
}

func testReopen(t *testing.T, b Backend) {
	s := open(t, b, org)
	batch := store.Batch{
		Scopes: commits(40), Marks: map[string]string{"at": "1"},
	}
	put(t, s, batch)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, b, org)
	same(t, "content", dump(t, again), want(batch.Scopes, batch.Marks))
	put(t, again, batch)
	same(t, "content put again", dump(t, again), want(batch.Scopes, batch.Marks))
}
