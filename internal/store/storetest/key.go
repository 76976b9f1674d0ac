package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

func testScopesByKey(t *testing.T, b Backend) {
	s := open(t, b, org)
	a, c, change := stemma.CommitID("a"), stemma.CommitID("c"), node(stemma.KindChange, "a")
	long := "blob:" + strings.Repeat("k", 10<<10)
	put(t, s, store.Batch{Scopes: []store.Scope{
		{ID: a, Keys: []string{"patch-id:1", "blob:1", "patch-id:1", "odd'\n\xff\x00"}},
		{ID: c, Keys: []string{"patch-id:1", long}},
		{ID: change, Keys: []string{"patch-id:1"}},
	}})
	check := func(what string, keys []string, wanted ...store.KeyedScope) {
		t.Helper()
		got := all(t, s.ScopesByKey(t.Context(), keys))
		slices.SortFunc(got, compareKeyed)
		same(t, what, got, wanted)
	}
	pair := func(key string, id stemma.NodeID) store.KeyedScope { return store.KeyedScope{Key: key, ID: id} }
	check("one key", []string{"blob:1"}, pair("blob:1", a))
	check("a key of several", []string{"patch-id:1"}, pair("patch-id:1", change), pair("patch-id:1", a), pair("patch-id:1", c))
	check("asked twice", []string{"blob:1", "none", "blob:1", long}, pair("blob:1", a), pair(long, c))
	check("odd bytes", []string{"odd'\n\xff\x00", "odd'\n\xff"}, pair("odd'\n\xff\x00", a))
	check("not as a part", []string{"patch-id", "patch-id:", "", "blob"})
	check("nothing asked", nil)

	put(t, s, store.Batch{Scopes: []store.Scope{{ID: a, Keys: []string{"blob:2"}}}})
	check("replaced", []string{"blob:1", "blob:2", "patch-id:1"}, pair("blob:2", a), pair("patch-id:1", change), pair("patch-id:1", c))
	put(t, s, store.Batch{Scopes: []store.Scope{{ID: a, Keys: []string{"blob:3"}}, {ID: a, Keys: []string{"blob:4"}}}})
	check("the later of a batch", []string{"blob:2", "blob:3", "blob:4"}, pair("blob:4", a))
	// A node that an edge keeps alive is no scope any more and has no keys.
	put(t, s, store.Batch{Scopes: []store.Scope{
		{ID: a, Gone: true},
		{ID: c, Keys: []string{long}, Edges: []stemma.Edge{edge(c, stemma.EdgeRewriteOf, a)}},
	}})
	check("gone", []string{"blob:4", long, "patch-id:1"}, pair(long, c), pair("patch-id:1", change))
	if got := all(t, open(t, b, "other").ScopesByKey(t.Context(), []string{long})); len(got) != 0 {
		t.Errorf("another organisation finds %v", got)
	}
	if err := s.DropGraph(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("dropped", []string{long, "patch-id:1"})

	// More keys than a backend asks for at once.
	scopes, keys := []store.Scope(nil), []string(nil)
	var wanted []store.KeyedScope
	for i := range 3000 {
		id, key := stemma.CommitID(fmt.Sprint(i)), fmt.Sprint("blob:", i)
		scopes = append(scopes, store.Scope{ID: id, Keys: []string{key, "every"}})
		if i%3 > 0 {
			keys = append(keys, key)
			wanted = append(wanted, pair(key, id))
		}
	}
	put(t, s, store.Batch{Scopes: scopes})
	slices.SortFunc(wanted, compareKeyed)
	check("many keys", keys, wanted...)
	if got := len(all(t, s.ScopesByKey(t.Context(), []string{"every"}))); got != 3000 {
		t.Errorf("a key of 3000 scopes gives %d", got)
	}
}
