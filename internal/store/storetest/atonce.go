package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// loops names every loop that a store gives, over a value of no matter.
func loops(ctx context.Context, s store.Store) map[string]iter.Seq2[any, error] {
	return map[string]iter.Seq2[any, error]{
		"Nodes":           untyped(s.Nodes(ctx, stemma.KindCommit, "")),
		"Edges":           untyped(s.Edges(ctx, store.EdgeQuery{})),
		"Edges to":        untyped(s.Edges(ctx, store.EdgeQuery{To: []stemma.NodeID{node(stemma.KindRepository, "r")}})),
		"Walk":            untyped(s.Walk(ctx, store.WalkQuery{From: []stemma.NodeID{node(stemma.KindRepository, "r")}, Effects: true})),
		"Attributions":    untyped(s.Attributions(ctx, []string{commit(0).ID.Key, commit(1).ID.Key, commit(2).ID.Key})),
		"AllAttributions": untyped(s.AllAttributions(ctx)),
		"Tallies":         untyped(s.Tallies(ctx, store.TallyQuery{Kind: stemma.KindCommit})),
		"Tallies of": untyped(s.Tallies(ctx, store.TallyQuery{
			Kind: stemma.KindCommit, Nodes: []stemma.NodeID{commit(0).ID, commit(1).ID, commit(2).ID},
		})),
		"Paths":           untyped(s.Paths(ctx)),
		"ScopesByKey":     untyped(s.ScopesByKey(ctx, []string{"blob:0", "blob:1"})),
		"CommitsTouching": untyped(s.CommitsTouching(ctx, []string{"src"})),
	}
}

func untyped[T any](seq iter.Seq2[T, error]) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for v, err := range seq {
			if !yield(v, err) {
				return
			}
		}
	}
}

// filled is a store with something for every loop.
func filled(t *testing.T, b Backend) store.Store {
	t.Helper()
	s := open(t, b, org)
	put(t, s, store.Batch{
		Scopes: commits(300),
	})
	return s
}

func testLoops(t *testing.T, b Backend) {
	s := filled(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, loop := range loops(ctx, s) {
		// Left early, many times: nothing may be used up.
		for range 50 {
			for _, err := range loop {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				break
			}
		}
		// Every other call, and the loop itself again, inside of it.
		n := 0
		for _, err := range loop {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n++; n > 2 {
				break
			}
			if err := s.Put(ctx, store.Batch{
				Scopes: []store.Scope{commit(n)}, Marks: map[string]string{"in": name},
			}); err != nil {
				t.Fatalf("%s: Put inside: %v", name, err)
			}
			for inner, loop := range loops(ctx, s) {
				for _, err := range loop {
					if err != nil {
						t.Fatalf("%s inside %s: %v", inner, name, err)
					}
					break
				}
			}
			if marks, err := s.Marks(ctx); err != nil || marks["in"] != name {
				t.Fatalf("%s: Marks inside = %v, %v", name, marks, err)
			}
		}
		if n < 3 {
			t.Errorf("%s gave %d values, want at least 3", name, n)
		}
		// A panic inside lets go too.
		func() {
			defer func() {
				if got := recover(); got != "inside" {
					t.Errorf("%s: recovered %v, want the loop's own panic", name, got)
				}
			}()
			for range loop {
				panic("inside")
			}
		}()
	}
	put(t, s, store.Batch{Scopes: []store.Scope{commit(0)}})
}

// A loop that was begun sees nothing of what is put while it runs.
func testSnapshot(t *testing.T, b Backend) {
	s := open(t, b, org)
	put(t, s, store.Batch{Scopes: commits(300)})
	wanted := want(commits(300), nil)
	changed := commits(300)
	for i := range changed {
		changed[i].Edges = changed[i].Edges[1:2]
		changed[i].Attribution.Files = changed[i].Attribution.Files[:1]
	}
	var rows []stemma.Attribution
	for a, err := range s.AllAttributions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if rows = append(rows, a); len(rows) == 1 {
			put(t, s, store.Batch{Scopes: append(changed, store.Scope{ID: stemma.CommitID("new"), Attribution: &stemma.Attribution{Commit: "new", RestOwner: -1}})})
		}
	}
	same(t, "rows", rows, wanted.Attributions)

	put(t, s, store.Batch{Scopes: append(commits(300), store.Scope{ID: stemma.CommitID("new"), Gone: true})})
	var edges []stemma.Edge
	for e, err := range s.Edges(t.Context(), store.EdgeQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if edges = append(edges, e); len(edges) == 1 {
			if err := s.DropGraph(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(t, "edges", edges, wanted.Edges)
	same(t, "content after the loop", dump(t, s), content{})
}

func testWriters(t *testing.T, b Backend) {
	const writers, rounds = 8, 15
	handles := []store.Store{open(t, b, org), open(t, b, org)}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for r := range rounds {
				// Each writes its own commits, all share sessions, models and the
				// repository, and all replace one scope of everybody.
				shared := commit(100_000)
				shared.Tally.Time = int64(w*rounds + r)
				err := handles[w%2].Put(t.Context(), store.Batch{
					Scopes: []store.Scope{commit(w*rounds + r), shared},
					Marks:  map[string]string{fmt.Sprint("w", w): fmt.Sprint(r)},
				})
				if err != nil {
					t.Errorf("Put: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	s := open(t, b, org)
	marks := make(map[string]string)
	for w := range writers {
		marks[fmt.Sprint("w", w)] = fmt.Sprint(rounds - 1)
	}
	shared := commit(100_000)
	got := dump(t, s)
	shared.Tally.Time = got.Tallies[0].Time // whose came last is open
	for _, tally := range got.Tallies {
		if tally.Node == shared.ID {
			shared.Tally.Time = tally.Time
		}
	}
	same(t, "content", got, want(append(commits(writers*rounds), shared), marks))
}

// Readers are never turned away and never see half a batch.
func testReaders(t *testing.T, b Backend) {
	writer := open(t, b, org)
	batch := func(round int) store.Batch {
		scopes := commits(50)
		for i := range scopes {
			scopes[i].Tally.Candidate = round
			scopes[i].Edges[0].Candidate = round
			scopes[i].Attribution.Algorithm = round
		}
		return store.Batch{Scopes: scopes, Marks: map[string]string{"round": fmt.Sprint(round)}}
	}
	put(t, writer, batch(0))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		reader := open(t, b, org)
		wg.Go(func() {
			for reads := 0; ; reads++ {
				select {
				case <-done:
					if reads == 0 {
						t.Error("a reader never read while the writer wrote")
					}
					return
				default:
				}
				if err := oneRound(t.Context(), reader); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for round := range 40 {
		if err := writer.Put(t.Context(), batch(round)); err != nil {
			t.Errorf("Put: %v", err)
			break
		}
	}
	close(done)
	wg.Wait()
}

// oneRound reads what every Put of testReaders replaces together.
func oneRound(ctx context.Context, s store.Store) error {
	tallies, err := collect(s.Tallies(ctx, store.TallyQuery{Kind: stemma.KindCommit}))
	if err != nil {
		return err
	}
	for _, tally := range tallies {
		if tally.Candidate != tallies[0].Candidate {
			return fmt.Errorf("tallies of rounds %d and %d in one loop", tally.Candidate, tallies[0].Candidate)
		}
	}
	rows, err := collect(s.AllAttributions(ctx))
	if err != nil {
		return err
	}
	for i := range rows {
		if rows[i].Algorithm != rows[0].Algorithm {
			return fmt.Errorf("rows of rounds %d and %d in one loop", rows[i].Algorithm, rows[0].Algorithm)
		}
	}
	edges, err := collect(s.Edges(ctx, store.EdgeQuery{Kinds: []stemma.EdgeKind{stemma.EdgeWrittenBy}}))
	if err != nil {
		return err
	}
	for i := range edges {
		if edges[i].Candidate != edges[0].Candidate {
			return fmt.Errorf("edges of rounds %d and %d in one loop", edges[i].Candidate, edges[0].Candidate)
		}
	}
	if len(tallies) != 50 || len(rows) != 50 || len(edges) != 50 {
		return fmt.Errorf("%d tallies, %d rows, %d edges in one loop each, want 50", len(tallies), len(rows), len(edges))
	}
	return nil
}

func testCancelledPut(t *testing.T, b Backend) {
	s := open(t, b, org)
	put(t, s, store.Batch{Scopes: commits(10)})
	batch := store.Batch{Scopes: commits(3000), Marks: map[string]string{"at": "1"}}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ended, batch); !errors.Is(err, context.Canceled) {
		t.Errorf("Put with an ended context: error = %v, want context.Canceled", err)
	}
	same(t, "content", dump(t, s), want(commits(10), nil))

	// At any moment: all or none, and the store goes on.
	cancelled := false
	for after := time.Duration(0); after < 100*time.Millisecond; after = after*5/4 + 200*time.Microsecond {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		err := s.Put(ctx, batch)
		cancel()
		if err == nil {
			break
		}
		cancelled = true
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Put cancelled after %v: error = %v, want context.DeadlineExceeded", after, err)
		}
		if got := len(all(t, s.Nodes(t.Context(), stemma.KindCommit, ""))); got != 10 {
			t.Fatalf("Put cancelled after %v left %d commits, want 10", after, got)
		}
	}
	if !cancelled {
		t.Error("no Put was cancelled: the batch is too small for this test")
	}
	put(t, s, batch)
	same(t, "content", dump(t, s), want(batch.Scopes, batch.Marks))
}

func testCancelledLoop(t *testing.T, b Backend) {
	s := filled(t, b)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, loop := range loops(ended, s) {
		if _, err := collect(loop); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: error = %v, want context.Canceled", name, err)
		}
	}
	if _, err := s.Marks(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Marks with an ended context: error = %v, want context.Canceled", err)
	}
	if err := s.DropGraph(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("DropGraph with an ended context: error = %v, want context.Canceled", err)
	}
	// In the middle a loop either ends early, with the error, or had all it
	// needed and ends whole; it is never short without a word.
	for _, name := range []string{"AllAttributions", "Edges", "Nodes"} {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		var failure error
		for _, err := range loops(ctx, s)[name] {
			if failure = err; err == nil {
				n++
			}
			cancel()
		}
		cancel()
		whole, err := collect(loops(t.Context(), s)[name])
		if err != nil {
			t.Fatal(err)
		}
		if failure == nil && n != len(whole) {
			t.Errorf("%s cancelled in the middle gave %d of %d values and no error", name, n, len(whole))
		}
		if failure != nil && !errors.Is(failure, context.Canceled) {
			t.Errorf("%s cancelled in the middle: error = %v, want context.Canceled", name, failure)
		}
	}
}

func testClose(t *testing.T, b Backend) {
	s := filled(t, b)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	ctx := t.Context()
	for name, loop := range loops(ctx, s) {
		if _, err := collect(loop); !errors.Is(err, stemma.ErrUnavailable) {
			t.Errorf("%s after Close: error = %v, want ErrUnavailable", name, err)
		}
	}
	_, nodeErr := s.Node(ctx, stemma.CommitID("c"))
	_, marksErr := s.Marks(ctx)
	for name, err := range map[string]error{
		"Put":       s.Put(ctx, store.Batch{Scopes: commits(1)}),
		"DropGraph": s.DropGraph(ctx), "Node": nodeErr, "Marks": marksErr,
	} {
		if !errors.Is(err, stemma.ErrUnavailable) {
			t.Errorf("%s after Close: error = %v, want ErrUnavailable", name, err)
		}
	}
}
