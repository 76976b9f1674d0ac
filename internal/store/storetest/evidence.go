package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

func testStatements(t *testing.T, b Backend) {
	s := open(t, b, org)
	given := []store.KeyedStatement{
		statement("z", "1", `{"b": 1,   "a": "<&>"}`), // bytes that an encoder would change
		statement("a", "2", `null`),
		statement("a", "odd\nkey\xff", `[1.0, 1e400]`),
		{Source: "a", EventID: "bare"},
		statement("large", "1", `"`+strings.Repeat("x", 3<<20)+`"`),
	}
	put(t, s, store.Batch{Statements: given[:2]})
	put(t, s, store.Batch{Statements: given[2:]})
	got := all(t, s.Statements(t.Context(), 0))
	for i := range got {
		if got[i].Sequence < 1 || i > 0 && got[i].Sequence <= got[i-1].Sequence {
			t.Errorf("statement %d has sequence %d, want it growing from 1", i, got[i].Sequence)
		}
	}
	same(t, "statements", keyed(got), given)
	same(t, "statements after the second", keyed(all(t, s.Statements(t.Context(), got[1].Sequence))), given[2:])
	if rest := all(t, s.Statements(t.Context(), got[4].Sequence)); len(rest) != 0 {
		t.Errorf("after the last there are %d statements, want none", len(rest))
	}
}

func keyed(stored []store.StoredStatement) []store.KeyedStatement {
	var all []store.KeyedStatement
	for _, s := range stored {
		all = append(all, s.KeyedStatement)
	}
	return all
}

func testStatementIdempotency(t *testing.T, b Backend) {
	s := open(t, b, org)
	first := []store.KeyedStatement{statement("git", "1", `1`), statement("git", "2", `2`)}
	put(t, s, store.Batch{Statements: first})
	before := all(t, s.Statements(t.Context(), 0))
	put(t, s, store.Batch{Statements: first})
	put(t, open(t, b, org), store.Batch{Statements: []store.KeyedStatement{statement("git", "1", `"other"`)}})
	same(t, "statements put again", all(t, s.Statements(t.Context(), 0)), before)

	// The key is the pair, also where the pair joined is the same.
	put(t, s, store.Batch{Statements: []store.KeyedStatement{
		statement("git", "12", `3`), statement("git1", "2", `4`), statement("git", "1", `5`), statement("git1", "2", `6`),
	}})
	same(t, "statements", keyed(all(t, s.Statements(t.Context(), 0))),
		append(first, statement("git", "12", `3`), statement("git1", "2", `4`)))
}

func testStatementsAtOnce(t *testing.T, b Backend) {
	const writers, events = 8, 40
	handles := []store.Store{open(t, b, org), open(t, b, org)}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for e := range events {
				err := handles[w%2].Put(t.Context(), store.Batch{Statements: []store.KeyedStatement{
					statement("git", fmt.Sprint("shared", e), fmt.Sprint(w)),
					statement("git", fmt.Sprint("own", w, "-", e), `1`),
				}})
				if err != nil {
					t.Errorf("Put: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	got := all(t, open(t, b, org).Statements(t.Context(), 0))
	keys := make(map[string]int)
	for i, s := range got {
		keys[s.EventID]++
		if i > 0 && s.Sequence <= got[i-1].Sequence {
			t.Errorf("sequence %d follows %d", s.Sequence, got[i-1].Sequence)
		}
	}
	if got, want := len(keys), events+writers*events; got != want {
		t.Errorf("%d keys are stored, want %d", got, want)
	}
	for key, n := range keys {
		if n != 1 {
			t.Errorf("key %s is stored %d times", key, n)
		}
	}
}

func testInvalidStatements(t *testing.T, b Backend) {
	s := open(t, b, org)
	subject := statement("git", "1", `1`)
	subject.Statement.Subject[0].Name = "\xff"
	for name, bad := range map[string]store.KeyedStatement{
		"no source":            statement("", "1", `1`),
		"no event":             statement("git", "", `1`),
		"predicate":            statement("git", "1", `{"cut": `),
		"subject is not UTF-8": subject,
	} {
		err := s.Put(t.Context(), store.Batch{Statements: []store.KeyedStatement{statement("good", "1", `1`), bad}})
		if !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: Put error = %v, want ErrInvalid", name, err)
		}
	}
	if got := all(t, s.Statements(t.Context(), 0)); len(got) != 0 {
		t.Errorf("%d statements are stored, want none", len(got))
	}
}

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
	same(t, "statements", all(t, s.Statements(t.Context(), 0)), nil)
	same(t, "rows", all(t, s.Attributions(t.Context(), []string{"c"})), nil)
	same(t, "commits", all(t, s.CommitsTouching(t.Context(), []string{""})), nil)
	if found, err := s.Node(t.Context(), stemma.CommitID("c")); found || err != nil {
		t.Errorf("Node = %v, %v, want false, nil", found, err)
	}
	if err := s.DropGraph(t.Context()); err != nil {
		t.Errorf("DropGraph: %v", err)
	}
}
