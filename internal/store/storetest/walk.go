package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// walk is what a walk over the edges of these scopes must give.
func walk(scopes []store.Scope, q store.WalkQuery) (steps []store.WalkStep) {
	exists := make(map[stemma.NodeID]bool)
	links := make(map[stemma.NodeID][]store.Link)
	for _, scope := range scopes {
		exists[scope.ID] = true
	}
	for _, e := range want(scopes, nil).Edges {
		exists[e.From], exists[e.To] = true, true
		near, far := e.From, e.To
		if q.Effects {
			near, far = far, near
		}
		if q.Edges != nil && !slices.Contains(q.Edges, e.Kind) || q.Nodes != nil && !slices.Contains(q.Nodes, far.Kind) {
			continue
		}
		i := slices.IndexFunc(links[near], func(l store.Link) bool { return l.Kind == e.Kind && l.Node == far })
		if i < 0 {
			i = len(links[near])
			links[near] = append(links[near], store.Link{Kind: e.Kind, Node: far})
		}
		l := &links[near][i]
		l.Facts = store.AddFact(l.Facts, store.Fact{Source: e.Source, Strength: e.Strength, Scopes: 1, Lines: e.Lines, Candidate: e.Candidate})
	}
	for _, of := range links {
		slices.SortFunc(of, func(a, b store.Link) int {
			if a.Kind != b.Kind {
				return map[bool]int{true: -1, false: 1}[a.Kind < b.Kind]
			}
			return a.Node.Compare(b.Node)
		})
		for _, l := range of {
			slices.SortFunc(l.Facts, store.CompareFacts)
		}
	}
	type stop struct {
		node  stemma.NodeID
		depth int
	}
	var queue []stop
	left := make(map[stemma.NodeID]bool)
	from := slices.Clone(q.From)
	slices.SortFunc(from, stemma.NodeID.Compare)
	for _, id := range slices.Compact(from) {
		if exists[id] {
			left[id] = true
			queue = append(queue, stop{id, 0})
		}
	}
	given := 0
	for ; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		step := store.WalkStep{Node: s.node, Depth: s.depth}
		for _, l := range links[s.node] {
			if q.Depth > 0 && s.depth >= q.Depth || q.Limit > 0 && given >= q.Limit || q.Fan > 0 && len(step.Links) >= q.Fan {
				step.More++
				continue
			}
			given++
			step.Links = append(step.Links, l)
			if !left[l.Node] && !slices.Contains(q.Ends, l.Node.Kind) && !slices.Contains(q.EndEdges, l.Kind) {
				left[l.Node] = true
				queue = append(queue, stop{l.Node, s.depth + 1})
			}
		}
		steps = append(steps, step)
	}
	return steps
}

// tangle is a graph with what is hard about one: circles, a node that is its own
// cause, a hub, links by several edges, a chain of deployments.
func tangle() []store.Scope {
	c := func(key string) stemma.NodeID { return stemma.CommitID(key) }
	s := func(key string) stemma.NodeID { return stemma.SessionID("a", key) }
	d := func(key string) stemma.NodeID { return node(stemma.KindDeployment, key) }
	model, artifact := node(stemma.KindModel, "m"), node(stemma.KindArtifact, "sha256:1")
	scope := func(id stemma.NodeID, edges ...stemma.Edge) store.Scope { return store.Scope{ID: id, Edges: edges} }
	return []store.Scope{
		scope(c("1"), edge(c("1"), stemma.EdgeWrittenBy, s("1")), edge(s("1"), stemma.EdgeUsed, model)),
		scope(c("2"), edge(c("2"), stemma.EdgeWrittenBy, s("2")), edge(s("2"), stemma.EdgeUsed, model), edge(c("2"), stemma.EdgeRewriteOf, c("1"))),
		scope(c("3"), edge(c("3"), stemma.EdgeRewriteOf, c("2")), edge(c("1"), stemma.EdgeRewriteOf, c("3")), edge(c("3"), stemma.EdgeFixes, c("2"))),
		scope(s("3"), edge(s("3"), stemma.EdgeSpawnedBy, s("3")), edge(s("3"), stemma.EdgeSpawnedBy, s("1")), edge(s("1"), stemma.EdgeSpawnedBy, s("3"))),
		scope(d("1"), edge(d("1"), stemma.EdgeOf, artifact), edge(artifact, stemma.EdgeBuiltFrom, c("3"))),
		scope(d("2"), edge(d("2"), stemma.EdgeReplaced, d("1")), edge(d("2"), stemma.EdgeOf, artifact)),
		scope(d("3"), edge(d("3"), stemma.EdgeReplaced, d("2"))),
		scope(c("alone")),
	}
}

func testWalks(t *testing.T, b Backend) {
	s := open(t, b, org)
	// Another organisation with nodes of the same names.
	put(t, open(t, b, "other"), store.Batch{Scopes: commits(3)})
	put(t, s, store.Batch{Scopes: tangle()})
	d3, c1, model := node(stemma.KindDeployment, "3"), stemma.CommitID("1"), node(stemma.KindModel, "m")
	for name, q := range map[string]store.WalkQuery{
		"nowhere":            {},
		"from what is not":   {From: []stemma.NodeID{stemma.CommitID("none"), node("hat", "x")}},
		"causes":             {From: []stemma.NodeID{d3}},
		"one away":           {From: []stemma.NodeID{d3}, Depth: 1},
		"three away":         {From: []stemma.NodeID{d3}, Depth: 3},
		"in a circle":        {From: []stemma.NodeID{c1}},
		"back in a circle":   {From: []stemma.NodeID{c1}, Effects: true},
		"from two":           {From: []stemma.NodeID{d3, c1, d3}},
		"ends":               {From: []stemma.NodeID{model, c1}, Ends: []stemma.NodeKind{stemma.KindModel, stemma.KindArtifact}},
		"from an end":        {From: []stemma.NodeID{model}, Effects: true, Ends: []stemma.NodeKind{stemma.KindModel}},
		"an edge ends":       {From: []stemma.NodeID{d3}, EndEdges: []stemma.EdgeKind{stemma.EdgeReplaced}},
		"one edge of two":    {From: []stemma.NodeID{stemma.CommitID("3")}, EndEdges: []stemma.EdgeKind{stemma.EdgeFixes}},
		"edges of a kind":    {From: []stemma.NodeID{stemma.CommitID("3")}, Edges: []stemma.EdgeKind{stemma.EdgeRewriteOf}},
		"edges of no kind":   {From: []stemma.NodeID{d3}, Edges: []stemma.EdgeKind{}},
		"edges not there":    {From: []stemma.NodeID{d3}, Edges: []stemma.EdgeKind{stemma.EdgeHit}},
		"nodes of kinds":     {From: []stemma.NodeID{c1}, Nodes: []stemma.NodeKind{stemma.KindSession, stemma.KindCommit}},
		"nodes, one away":    {From: []stemma.NodeID{c1}, Nodes: []stemma.NodeKind{stemma.KindSession}, Depth: 1},
		"nodes of no kind":   {From: []stemma.NodeID{c1}, Nodes: []stemma.NodeKind{}},
		"fan":                {From: []stemma.NodeID{c1}, Fan: 1},
		"effects with fan":   {From: []stemma.NodeID{model}, Effects: true, Fan: 1},
		"limit":              {From: []stemma.NodeID{d3}, Limit: 4},
		"limit in a node":    {From: []stemma.NodeID{stemma.CommitID("2")}, Limit: 1},
		"everything at once": {From: []stemma.NodeID{d3, c1}, Limit: 5, Fan: 2, Depth: 3, Ends: []stemma.NodeKind{stemma.KindModel}},
	} {
		same(t, "walk: "+name, all(t, s.Walk(t.Context(), q)), walk(tangle(), q))
	}
	got := all(t, s.Walk(t.Context(), store.WalkQuery{From: []stemma.NodeID{stemma.CommitID("alone")}}))
	same(t, "walk from a node without links", got, []store.WalkStep{{Node: stemma.CommitID("alone")}})
	if got := all(t, open(t, b, "empty").Walk(t.Context(), store.WalkQuery{From: []stemma.NodeID{c1}})); len(got) > 0 {
		t.Errorf("a walk in an empty store gave %v", got)
	}
}

// testWalkModel compares walks over graphs that nobody thought of.
func testWalkModel(t *testing.T, b Backend) {
	s := open(t, b, org)
	r := rand.New(rand.NewPCG(7, 11))
	const size = 60
	pick := func() stemma.NodeID { return stemma.CommitID(fmt.Sprint(r.IntN(size))) }
	var scopes []store.Scope
	for i := range size {
		id := stemma.CommitID(fmt.Sprint(i))
		scope := store.Scope{ID: id}
		for j := range r.IntN(4) {
			e := edge(pick(), []stemma.EdgeKind{stemma.EdgeRewriteOf, stemma.EdgeFixes}[r.IntN(2)], pick())
			e.Source = fmt.Sprint("source", j)
			scope.Edges = append(scope.Edges, e)
		}
		if i%3 == 0 {
			scope.Edges = append(scope.Edges, edge(id, stemma.EdgeIn, node(stemma.KindRepository, "r")))
		}
		scopes = append(scopes, scope)
	}
	put(t, s, store.Batch{Scopes: scopes})
	for range 200 {
		q := store.WalkQuery{
			From: []stemma.NodeID{pick()}, Effects: r.IntN(2) == 0,
			Depth: r.IntN(7), Fan: r.IntN(4), Limit: r.IntN(40),
		}
		if r.IntN(4) == 0 {
			q.From = append(q.From, pick(), node(stemma.KindRepository, "r"))
		}
		if r.IntN(3) == 0 {
			q.Ends = []stemma.NodeKind{stemma.KindRepository}
		}
		if r.IntN(4) == 0 {
			q.EndEdges = []stemma.EdgeKind{stemma.EdgeFixes}
		}
		if r.IntN(4) == 0 {
			q.Edges = []stemma.EdgeKind{stemma.EdgeRewriteOf}
		}
		if r.IntN(4) == 0 {
			q.Nodes = []stemma.NodeKind{stemma.KindCommit}
		}
		same(t, fmt.Sprintf("%+v", q), all(t, s.Walk(t.Context(), q)), walk(scopes, q))
		if t.Failed() {
			return
		}
	}
}

// testWalkFacts asks for what the edges of one link say together.
func testWalkFacts(t *testing.T, b Backend) {
	s := open(t, b, org)
	session, model := stemma.SessionID("a", "1"), node(stemma.KindModel, "m")
	sure := stemma.Strength{Tier: stemma.TierObserved, Assertion: stemma.Inferred, Method: "replay", Confidence: 0.75}
	var scopes []store.Scope
	for i := range 40 {
		id := stemma.CommitID(fmt.Sprint(i))
		used := edge(session, stemma.EdgeUsed, model)
		if i%4 == 0 {
			used.Strength = sure
		}
		written := edge(id, stemma.EdgeWrittenBy, session)
		written.Lines, written.Candidate = stemma.Lines{AI: i, Unknown: 2}, i%3
		second := written
		second.Source = "another"
		scopes = append(scopes, store.Scope{ID: id, Edges: []stemma.Edge{used, written, second}})
	}
	put(t, s, store.Batch{Scopes: scopes})
	steps := all(t, s.Walk(t.Context(), store.WalkQuery{From: []stemma.NodeID{session}}))
	same(t, "link to the model", steps[0].Links, []store.Link{{Kind: stemma.EdgeUsed, Node: model, Facts: []store.Fact{
		{Source: "git-ai", Strength: declared, Scopes: 30},
		{Source: "git-ai", Strength: sure, Scopes: 10},
	}}})
	for _, q := range []store.WalkQuery{
		{From: []stemma.NodeID{stemma.CommitID("5")}},
		{From: []stemma.NodeID{session}, Effects: true},
		{From: []stemma.NodeID{model}, Effects: true, Fan: 7},
	} {
		same(t, fmt.Sprintf("%+v", q), all(t, s.Walk(t.Context(), q)), walk(scopes, q))
	}
}

func testWalkWide(t *testing.T, b Backend) {
	const wide = store.WideNode + 500
	s := open(t, b, org)
	hub := node(stemma.KindRepository, "r")
	scopes := []store.Scope{{ID: stemma.CommitID("narrow"), Edges: []stemma.Edge{edge(stemma.CommitID("narrow"), stemma.EdgeIn, hub)}}}
	for i := range wide {
		id := stemma.CommitID(fmt.Sprint(i))
		scopes = append(scopes, store.Scope{ID: id, Edges: []stemma.Edge{edge(id, stemma.EdgeIn, hub)}})
	}
	put(t, s, store.Batch{Scopes: scopes})
	back := store.WalkQuery{From: []stemma.NodeID{hub}, Effects: true}
	if steps := all(t, s.Walk(t.Context(), back)); len(steps) != 1+len(scopes) || len(steps[0].Links) != len(scopes) || steps[0].More != 0 || steps[0].AtLeast {
		t.Errorf("a walk without limits gave %d steps, the first with %d links, want all %d", len(steps), len(steps[0].Links), len(scopes))
	}
	for name, limited := range map[string]func(*store.WalkQuery){
		"fan":   func(q *store.WalkQuery) { q.Fan = 10 },
		"limit": func(q *store.WalkQuery) { q.Limit = 10 },
	} {
		q := back
		limited(&q)
		step := all(t, s.Walk(t.Context(), q))[0]
		if len(step.Links) != 10 || !step.AtLeast || step.More < store.WideNode-10 || step.More > len(scopes)-10 {
			t.Errorf("%s at a wide node gave %d links and more %d (at least: %v), want 10, and %d to %d more, at least",
				name, len(step.Links), step.More, step.AtLeast, store.WideNode-10, len(scopes)-10)
		}
		if !slices.IsSortedFunc(step.Links, func(a, b store.Link) int { return a.Node.Compare(b.Node) }) {
			t.Errorf("%s at a wide node gave links out of order", name)
		}
		again := all(t, s.Walk(t.Context(), q))[0]
		same(t, name+" at a wide node, again", again, step)
	}
	q := store.WalkQuery{From: []stemma.NodeID{stemma.CommitID("narrow"), hub}, Effects: true, Fan: store.WideNode + 100}
	if step := all(t, s.Walk(t.Context(), q))[1]; len(step.Links) != q.Fan || step.More == 0 {
		t.Errorf("a fan of %d gave %d links and %d more", q.Fan, len(step.Links), step.More)
	}
}

// A walk that was begun sees nothing of what is put while it runs.
func testWalkSnapshot(t *testing.T, b Backend) {
	s := open(t, b, org)
	var scopes []store.Scope
	for i := range 300 {
		id := stemma.CommitID(fmt.Sprint(i))
		scopes = append(scopes, store.Scope{ID: id, Edges: []stemma.Edge{edge(id, stemma.EdgeRewriteOf, stemma.CommitID(fmt.Sprint(i+1)))}})
	}
	put(t, s, store.Batch{Scopes: scopes})
	q := store.WalkQuery{From: []stemma.NodeID{stemma.CommitID("0")}}
	var steps []store.WalkStep
	for step, err := range s.Walk(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		if steps = append(steps, step); len(steps) == 1 {
			if err := s.DropGraph(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(t, "steps", steps, walk(scopes, q))
}
