package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

func testSince(t *testing.T, b Backend) {
	s := open(t, b, org)
	since := func(s store.Store, moment string) store.Changes {
		t.Helper()
		c, err := s.Since(t.Context(), moment)
		if err != nil {
			t.Fatalf("Since(%q): %v", moment, err)
		}
		slices.SortFunc(c.Scopes, stemma.NodeID.Compare)
		return c
	}
	// now is the moment now, which nothing follows.
	now := func() string {
		t.Helper()
		moment := since(s, "").Now
		same(t, "of nothing", since(s, moment), store.Changes{Now: moment, Known: true})
		return moment
	}
	changed := func(what, moment string, wanted ...stemma.NodeID) {
		t.Helper()
		c := since(s, moment)
		slices.SortFunc(wanted, stemma.NodeID.Compare)
		same(t, what, c, store.Changes{Now: c.Now, Known: true, Scopes: wanted})
		same(t, what+", by another handle", since(open(t, b, org), moment), c)
	}
	unknown := func(what, moment string) {
		t.Helper()
		if c := since(s, moment); c.Known || len(c.Scopes) > 0 {
			t.Errorf("%s: Since = %+v, want nothing known", what, c)
		}
	}
	same(t, "of a store without anything", since(s, ""), store.Changes{})

	put(t, s, store.Batch{Scopes: commits(3)})
	first := now()
	for what, moment := range map[string]string{
		"before everything": "", "no moment": "yesterday", "of another form": first + " ", "no number": strings.TrimRight(first, "0123456789"),
		"of the future": first + "0",
	} {
		unknown(what, moment)
	}
	put(t, s, store.Batch{Marks: map[string]string{"at": "1"}})
	changed("a mark", first)
	put(t, s, store.Batch{Scopes: []store.Scope{commit(1), {ID: commit(2).ID, Gone: true}, commit(5)}})
	second := now()
	put(t, open(t, b, org), store.Batch{Scopes: []store.Scope{commit(5), {ID: node(stemma.KindSession, "odd\x00\xff")}}})
	changed("two Puts, one of another handle", first, commit(1).ID, commit(2).ID, commit(5).ID, node(stemma.KindSession, "odd\x00\xff"))
	changed("the second alone", second, commit(5).ID, node(stemma.KindSession, "odd\x00\xff"))
	bad := store.Scope{ID: node(stemma.KindCommit, "")}
	third := now()
	if err := s.Put(t.Context(), store.Batch{Scopes: []store.Scope{commit(1), bad}}); err == nil {
		t.Fatal("Put of a bad batch went well")
	}
	changed("a Put that stored nothing", third)
	put(t, open(t, b, "other"), store.Batch{Scopes: commits(9)})
	changed("a Put of another organisation", third)

	var many []store.Scope
	for i := range store.PutNames / 20 {
		many = append(many, store.Scope{ID: node(stemma.KindCommit, fmt.Sprintf("%020d", i))})
	}
	put(t, s, store.Batch{Scopes: many})
	unknown("more than is remembered of one Put", third)
	fourth := now()
	put(t, s, store.Batch{Scopes: commits(1)})
	changed("after it", fourth, commit(0).ID)
	unknown("and before", third)

	for range store.PutsKept {
		put(t, s, store.Batch{Scopes: commits(1)})
	}
	unknown("more Puts than are remembered", fourth)
	fifth := now()
	if err := s.DropGraph(t.Context()); err != nil {
		t.Fatal(err)
	}
	unknown("dropped", fifth)
	put(t, s, store.Batch{Scopes: commits(2)})
	unknown("and filled again", fifth)
	changed("since then", now())
}
