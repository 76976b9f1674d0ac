package project

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
)

func observation(t *testing.T, repository, observer string, moves ...stemma.RefMove) stemma.Statement {
	t.Helper()
	p, err := json.Marshal(stemma.RefObservation{Repository: repository, Observer: observer, Refs: moves})
	if err != nil {
		t.Fatal(err)
	}
	return stemma.Statement{Type: stemma.StatementType, PredicateType: stemma.RefObservationType, Predicate: p}
}

func TestObservedFollowsItsObserver(t *testing.T) {
	a, b := stemma.RefMove{Name: "a", At: "1"}, stemma.RefMove{Name: "b", At: "2"}
	var o Observed
	fold := func(index uint64, s stemma.Statement) {
		t.Helper()
		if err := o.Fold(index, s, "me"); err != nil {
			t.Fatal(err)
		}
	}
	fold(0, observation(t, "r", "me", a, b))
	fold(3, observation(t, "r", "another", stemma.RefMove{Name: "a", At: "9"}))
	fold(5, stemma.Statement{PredicateType: "https://example.org/other", Predicate: []byte("{")})
	fold(7, observation(t, "r", "me", stemma.RefMove{Name: "a", From: "1"}, stemma.RefMove{Name: "c", At: "3"}))
	fold(7, observation(t, "r", "me", stemma.RefMove{Name: "a", At: "8"})) // folded before
	want := Observed{Next: 8, Repository: "r", Refs: Refs{"b": b, "c": {Name: "c", At: "3"}}, Gone: []string{"a"}}
	if d := cmp.Diff(want, o); d != "" {
		t.Errorf("observed (-want +got):\n%s", d)
	}
	fold(8, observation(t, "r", "me", a))
	if len(o.Gone) != 0 || o.Refs["a"] != a {
		t.Errorf("a came back, and is %+v, gone %v", o.Refs["a"], o.Gone)
	}
	fold(9, observation(t, "other", "me", b))
	if d := cmp.Diff(Observed{Next: 10, Repository: "other", Refs: Refs{"b": b}}, o); d != "" {
		t.Errorf("observed of another repository (-want +got):\n%s", d)
	}
	err := o.Fold(11, stemma.Statement{PredicateType: stemma.RefObservationType, Predicate: []byte("{")}, "me")
	if !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("a predicate that is cut off gives %v, want ErrInvalid", err)
	}
}

// What changed, folded, leaves nothing that changed.
func TestFoldingTheMovesLeavesNone(t *testing.T) {
	o := Observed{Repository: "r", Refs: Refs{"a": {Name: "a", At: "1"}, "b": {Name: "b", At: "2"}, "HEAD": {Name: "HEAD", At: "1", Target: "a"}}}
	now := Refs{"b": {Name: "b", At: "3"}, "c": {Name: "c", At: "4"}, "HEAD": {Name: "HEAD", At: "1", Target: "c"}}
	if err := o.Fold(1, observation(t, "r", "me", o.Refs.Moves(now)...), "me"); err != nil {
		t.Fatal(err)
	}
	if rest := o.Refs.Moves(now); len(rest) != 0 {
		t.Errorf("after folding the moves there are still %+v", rest)
	}
}
