package storetest

import (
	"errors"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

func testMarks(t *testing.T, b Backend) {
	s := open(t, b, org)
	same(t, "marks", dump(t, s).Marks, map[string]string{})
	put(t, s, store.Batch{Marks: map[string]string{"a": "1", "odd\n\xff": "\xfe\n", "gone": "1"}})
	put(t, s, store.Batch{Marks: map[string]string{"a": "2", "gone": "", "never": ""}})
	same(t, "marks", dump(t, open(t, b, org)).Marks, map[string]string{"a": "2", "odd\n\xff": "\xfe\n"})
	err := s.Put(t.Context(), store.Batch{Marks: map[string]string{"": "1", "a": "3"}})
	if !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Put of a mark without name: error = %v, want ErrInvalid", err)
	}
	same(t, "marks after a bad one", dump(t, s).Marks["a"], "2")
}

func testEmpty(t *testing.T, b Backend) {
	s := open(t, b, org)
	put(t, s, store.Batch{})
	same(t, "content", dump(t, s), content{})
	same(t, "rows", all(t, s.Attributions(t.Context(), []string{"c"})), nil)
	same(t, "commits", all(t, s.CommitsTouching(t.Context(), []string{""})), nil)
	if found, err := s.Node(t.Context(), stemma.CommitID("c")); found || err != nil {
		t.Errorf("Node = %v, %v, want false, nil", found, err)
	}
	if err := s.DropGraph(t.Context()); err != nil {
		t.Errorf("DropGraph: %v", err)
	}
}
