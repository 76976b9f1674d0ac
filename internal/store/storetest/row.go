package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

func testTallies(t *testing.T, b Backend) {
	s := open(t, b, org)
	var tallies []store.Tally
	add := func(kind stemma.NodeKind, key string, at int64, l stemma.Lines) *store.Tally {
		tallies = append(tallies, store.Tally{Node: node(kind, key), Group: "r1", Time: at, Lines: l})
		return &tallies[len(tallies)-1]
	}
	add(stemma.KindChange, "b", 10, stemma.Lines{AI: 5, Human: 5})
	add(stemma.KindChange, "a", 10, stemma.Lines{AI: 1, AIEdited: 2, Human: 3, Generated: 4, Unknown: 5}).Merge = true
	add(stemma.KindChange, "c", 30, stemma.Lines{Human: 9}).Group = "r2"
	add(stemma.KindChange, "old", -20, stemma.Lines{Generated: 7})
	add(stemma.KindChange, "zero", 0, stemma.Lines{}).Unreadable = true
	add(stemma.KindChange, "full", 20, stemma.Lines{AI: 1}).Candidate = 3
	add(stemma.KindCommit, "a", 99, stemma.Lines{AI: 1}).Sessions = 4
	var scopes []store.Scope
	for i := range tallies {
		scopes = append(scopes, store.Scope{ID: tallies[i].Node, Tally: &tallies[i]})
	}
	scopes = append(scopes, store.Scope{ID: node(stemma.KindChange, "without")})
	put(t, s, store.Batch{Scopes: scopes})

	change := func(keys ...string) []stemma.NodeID {
		ids := []stemma.NodeID{}
		for _, key := range keys {
			ids = append(ids, node(stemma.KindChange, key))
		}
		return ids
	}
	for name, test := range map[string]struct {
		q    store.TallyQuery
		want []string
	}{
		"all":               {store.TallyQuery{}, []string{"c", "full", "a", "b", "zero", "old"}},
		"limit":             {store.TallyQuery{Limit: 2}, []string{"c", "full"}},
		"group":             {store.TallyQuery{Group: "r2"}, []string{"c"}},
		"group and limit":   {store.TallyQuery{Group: "r1", Limit: 1}, []string{"full"}},
		"missing group":     {store.TallyQuery{Group: "r3"}, nil},
		"since":             {store.TallyQuery{Since: 20}, []string{"c", "full"}},
		"until":             {store.TallyQuery{Until: 10}, []string{"a", "b", "zero", "old"}},
		"both, inclusive":   {store.TallyQuery{Since: 10, Until: 20}, []string{"full", "a", "b"}},
		"negative":          {store.TallyQuery{Since: -20, Until: -20}, []string{"old"}},
		"half ai":           {store.TallyQuery{MinAI: 0.5}, []string{"full", "b"}},
		"edited counts":     {store.TallyQuery{MinAI: 3.0 / 11}, []string{"full", "a", "b"}},
		"class":             {store.TallyQuery{Class: stemma.ClassGenerated}, []string{"a", "old"}},
		"nodes":             {store.TallyQuery{Nodes: change("old", "b", "none", "without", "c", "b")}, []string{"c", "b", "old"}},
		"nodes and limit":   {store.TallyQuery{Nodes: change("old", "b", "c"), Limit: 2}, []string{"c", "b"}},
		"nodes and since":   {store.TallyQuery{Nodes: change("old", "b", "c"), Since: 11}, []string{"c"}},
		"nodes and group":   {store.TallyQuery{Nodes: change("old", "b", "c"), Group: "r2"}, []string{"c"}},
		"no nodes":          {store.TallyQuery{Nodes: change()}, nil},
		"nodes of the kind": {store.TallyQuery{Nodes: []stemma.NodeID{stemma.CommitID("a"), node(stemma.KindChange, "b")}}, []string{"b"}},
	} {
		test.q.Kind = stemma.KindChange
		var got []string
		for _, tally := range all(t, s.Tallies(t.Context(), test.q)) {
			got = append(got, tally.Node.Key)
		}
		same(t, "tallies: "+name, got, test.want)
	}
	same(t, "content", dump(t, s), want(scopes, nil))
}

// A backend may answer a long list of nodes in another way than a short one.
func testTalliesOfManyNodes(t *testing.T, b Backend) {
	s := open(t, b, org)
	var scopes []store.Scope
	var ids []stemma.NodeID
	for i := range 5000 {
		id := node(stemma.KindChange, fmt.Sprint(i))
		scopes = append(scopes, store.Scope{ID: id, Tally: &store.Tally{Node: id, Group: "r", Time: int64(i / 3), Lines: stemma.Lines{AI: i % 2}}})
		if i%5 != 0 {
			ids = append(ids, id)
		}
	}
	put(t, s, store.Batch{Scopes: scopes})
	var wanted []store.Tally
	for _, tally := range want(scopes, nil).Tallies {
		if slices.Contains(ids, tally.Node) && tally.Lines.AI > 0 && tally.Time >= 100 {
			wanted = append(wanted, tally)
		}
	}
	q := store.TallyQuery{Kind: stemma.KindChange, Nodes: ids, Since: 100, Class: stemma.ClassAI}
	same(t, "tallies", all(t, s.Tallies(t.Context(), q)), wanted)
	q.Limit = 7
	same(t, "tallies with limit", all(t, s.Tallies(t.Context(), q)), wanted[:7])
}

func testAttributions(t *testing.T, b Backend) {
	s := open(t, b, org)
	scopes := commits(300) // more than a backend reads at once
	scopes = append(scopes, store.Scope{ID: stemma.CommitID("without")})
	put(t, s, store.Batch{Scopes: scopes})
	whole := want(scopes, nil).Attributions
	same(t, "all rows", all(t, s.AllAttributions(t.Context())), whole)

	ask := []string{"without", "none"}
	var wanted []stemma.Attribution
	for i := 0; i < len(whole); i += 2 {
		ask = append(ask, whole[i].Commit)
		wanted = append(wanted, whole[i])
	}
	ask = append(ask, ask[2]) // twice is once
	got := all(t, s.Attributions(t.Context(), ask))
	slices.SortFunc(got, func(a, b stemma.Attribution) int {
		if a.Commit < b.Commit {
			return -1
		}
		return 1
	})
	same(t, "some rows", got, wanted)
	same(t, "no rows", all(t, s.Attributions(t.Context(), nil)), nil)
}

func testPaths(t *testing.T, b Backend) {
	s := open(t, b, org)
	scopes := commits(12)
	put(t, s, store.Batch{Scopes: scopes})
	same(t, "paths", dump(t, s).Paths, want(scopes, nil).Paths)
	// A path that no row names any more is not given.
	put(t, s, store.Batch{Scopes: []store.Scope{{ID: scopes[3].ID, Gone: true}, {ID: scopes[4].ID}}})
	rest := append(slices.Clone(scopes[:3]), scopes[5:]...)
	same(t, "paths after rows are gone", dump(t, s).Paths, want(rest, nil).Paths)
}

func testCommitsTouching(t *testing.T, b Backend) {
	s := open(t, b, org)
	files := map[string][]string{
		"c1": {"src/a.go", "src/b/c.go"},
		"c2": {"src"},
		"c3": {"src-other/x", "src.go", "Src/a.go"},
		"c4": {"src/b/c.go", "doc/\xff\xff"},
		"c5": {"doc/\xff\xff/deep"},
		"c6": {"we'ird\n/100%_"},
		"c7": nil,
	}
	var scopes []store.Scope
	for commit, paths := range files {
		a := &stemma.Attribution{Commit: commit, RestOwner: -1}
		for _, path := range paths {
			a.Files = append(a.Files, stemma.FileLines{Path: path, Added: 1})
		}
		scopes = append(scopes, store.Scope{ID: stemma.CommitID(commit), Attribution: a})
	}
	put(t, s, store.Batch{Scopes: scopes})
	for _, test := range []struct {
		paths []string
		want  []string
	}{
		{[]string{""}, []string{"c1", "c2", "c3", "c4", "c5", "c6"}},
		{[]string{"src"}, []string{"c1", "c2", "c4"}},
		{[]string{"src/"}, []string{"c1", "c4"}},
		{[]string{"src/b"}, []string{"c1", "c4"}},
		{[]string{"src/a.go"}, []string{"c1"}},
		{[]string{"src/a"}, nil},
		{[]string{"Src"}, []string{"c3"}},
		{[]string{"src.go", "src/a.go"}, []string{"c1", "c3"}},
		{[]string{"doc/\xff\xff"}, []string{"c4", "c5"}},
		{[]string{"we'ird\n"}, []string{"c6"}},
		{[]string{"we'ird\n/100%_"}, []string{"c6"}},
		{[]string{"none", "%"}, nil},
		{nil, nil},
	} {
		got := all(t, s.CommitsTouching(t.Context(), test.paths))
		slices.Sort(got)
		same(t, fmt.Sprintf("commits touching %q", test.paths), got, test.want)
	}
}

// A backend may name many commits in another way than a few.
func testManyCommitsTouching(t *testing.T, b Backend) {
	s := open(t, b, org)
	var scopes []store.Scope
	var wanted []string
	for i := range 9_000 {
		key := fmt.Sprintf("%05d", i)
		path := "a/b"
		if i%10 == 0 {
			path = "c"
		} else {
			wanted = append(wanted, key)
		}
		scopes = append(scopes, store.Scope{ID: stemma.CommitID(key), Attribution: &stemma.Attribution{
			Commit: key, RestOwner: -1, Files: []stemma.FileLines{{Path: path}},
		}})
	}
	put(t, s, store.Batch{Scopes: scopes})
	got := all(t, s.CommitsTouching(t.Context(), []string{"a"}))
	slices.Sort(got)
	same(t, "commits", got, wanted)
	n := 0
	for _, err := range s.CommitsTouching(t.Context(), []string{"a"}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 5 {
			break
		}
	}
}
