package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
)

// The commits of many rows are remembered from one list to the next. Whatever is
// indexed, taken away or told meanwhile, and whatever of it is forgotten: the list
// says what the graph says.
func TestRememberedCommitsAreThoseOfTheGraph(t *testing.T) {
	s, err := sqlite.Open(t.Context(), t.TempDir(), organisation)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	of := &bench{store: s, dir: t.TempDir()}
	const sessions = askedRows + 50
	known := rememberedRows{Next: 1, Rows: make([]sessionRow, sessions)}
	for i := range known.Rows {
		known.Rows[i] = sessionRow{Session: fmt.Sprintf("codex/%d", i), Models: []string{}, Tickets: []string{}, Commits: []string{"told"}}
	}
	rnd := rand.New(rand.NewPCG(5, 5))
	asked := 0
	for round := range 60 {
		var batch store.Batch
		for range rnd.IntN(9) {
			commit := fmt.Sprintf("c%d", rnd.IntN(70))
			switch rnd.IntN(4) {
			case 0:
				batch.Scopes = append(batch.Scopes, store.Scope{ID: stemma.CommitID(commit), Gone: true})
			case 1: // which is told by the row itself
				batch.Scopes = append(batch.Scopes, project.Session(agent.Tale{
					Key: "codex/3", Session: agent.Session{Agent: "codex", ID: "3"},
					Commits: []agent.DeltaCommit{{Commit: commit, Lines: 5, Of: 9, Method: agent.MatchMethod, Confidence: 0.8}},
				}))
			default:
				from := rnd.IntN(10)
				batch.Scopes = append(batch.Scopes, writtenBy(commit, from, from+rnd.IntN(4)))
			}
		}
		switch round {
		case 20:
			if err := s.DropGraph(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 40:
			known.Graph = "another graph"
		}
		if err := s.Put(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if round%3 == 2 {
			continue // nobody lists
		}
		got := slices.Clone(known.Rows)
		if err := of.joinCommits(t.Context(), places(got), known); err != nil {
			t.Fatal(err)
		}
		var want []sessionRow
		for chunk := range slices.Chunk(known.Rows, askedRows) {
			chunk = slices.Clone(chunk)
			if err := of.joinCommits(t.Context(), places(chunk), rememberedRows{}); err != nil {
				t.Fatal(err)
			}
			want = append(want, chunk...)
		}
		for i := range got {
			if diff := cmp.Diff(want[i].Commits, got[i].Commits); diff != "" {
				t.Fatalf("round %d, %s (-asked +remembered):\n%s", round, got[i].Session, diff)
			}
			if len(got[i].Commits) > 1 {
				asked++
			}
		}
		// The next list is of another process.
		if kept, ok := readRows(of.rowsPath()); ok {
			if known = kept; known.Graph == "" {
				t.Fatalf("round %d: no moment is remembered", round)
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d rows had a commit", asked)
	}
}

// places gives where rows are.
func places(rows []sessionRow) []*sessionRow {
	all := make([]*sessionRow, len(rows))
	for i := range rows {
		all[i] = &rows[i]
	}
	return all
}
