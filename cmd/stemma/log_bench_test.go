package main

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/lineage"
	"github.com/stemma-dev/stemma/internal/project"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
)

// madeSessions are sessions that lie in memory.
type madeSessions map[string]*agent.Tale

func (m madeSessions) Tales(_ context.Context, keys []string) (map[string]*agent.Tale, error) {
	told := make(map[string]*agent.Tale)
	for _, key := range keys {
		if t := m[key]; t != nil {
			told[key] = t
		}
	}
	return told, nil
}

func (m madeSessions) Before(context.Context, agent.Tale) (agent.Tale, error) {
	return agent.Tale{}, stemma.ErrNotFound
}

// manySessions is a graph of changes of one commit each, with ten sessions that
// content joins with each: of every hundredth one is for security, and of every
// thousandth the prompts are many.
func manySessions(b *testing.B, sessions int) lineage.Graph {
	b.Helper()
	dir := b.TempDir()
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		b.Fatalf("git init: %v: %s", err, out)
	}
	repo, err := git.Open(b.Context(), dir, git.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { repo.Close() })
	s, err := sqlite.Open(b.Context(), b.TempDir(), organisation)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	g := lineage.Graph{Repo: repo, Store: s, Repository: "r"}
	told := make(madeSessions)
	var batch store.Batch
	for i := range sessions {
		commit := fmt.Sprintf("%040x", i/10+1)
		at := time.Unix(int64(1_700_000_000+i/10*60), 0).UTC()
		if i%10 == 0 {
			row := stemma.Attribution{Commit: commit, Time: at.Unix(), Lines: stemma.Lines{Unknown: 9}, Files: []stemma.FileLines{{Path: "a.go", Added: 9}}, Rest: stemma.ClassUnknown, RestOwner: -1}
			scope := project.Commit(row, g.Repository)
			batch.Scopes = append(batch.Scopes, scope, project.Change(g.Repository, "refs/heads/main", commit, []project.Member{{Tally: *scope.Tally}}))
		}
		t := agent.Tale{
			Key: fmt.Sprintf("codex/%d", i), Session: agent.Session{Agent: "codex", ID: fmt.Sprint(i), Start: at.Add(-time.Hour)},
			Derived: &agent.Derived{Task: agent.Task{Type: "feature"}}, Tools: map[int]map[string]int{1: {"shell": 3}},
			Commits: []agent.DeltaCommit{{Commit: commit, Lines: 5, Of: 9, Method: agent.MatchMethod, Confidence: 0.8}},
		}
		if i%100 == 0 {
			t.Derived.Task.Type = "security"
		}
		for n := range 1 + i%1000/999*20 {
			t.Session.Turns = append(t.Session.Turns, &agent.Turn{
				Index: n + 1, Origin: agent.FromPerson, Start: at.Add(time.Duration(n-60) * time.Minute), End: at.Add(time.Duration(n-59) * time.Minute),
				Calls: []*agent.Call{{Kind: agent.KindEdit, Files: []agent.File{{Path: "a.go", Access: agent.Write}}}},
			})
		}
		told[t.Key] = &t
		batch.Scopes = append(batch.Scopes, project.Session(t))
	}
	if err := s.Put(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	g.Sessions = told
	return g
}

// What it costs to find the newest changes of 5,000 by what 50,000 sessions were
// for, and by what the changes took.
func BenchmarkLogBySession(b *testing.B) {
	g := manySessions(b, 50_000)
	for _, query := range []struct {
		search  string
		changes int
	}{
		{"limit:20", 20},
		{"task-type:security limit:20", 20},
		{"task-type:security", 500},
		{"session:codex/4242", 1},
		{"iterations:>25", 50},
		{"task-type:security iterations:>0", 500},
	} {
		b.Run(query.search, func(b *testing.B) {
			var q lineage.Query
			if err := q.Parse(query.search, nil); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				n := 0
				for _, err := range lineage.Log(b.Context(), g, q) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != query.changes {
					b.Fatalf("%d changes, want %d", n, query.changes)
				}
			}
		})
	}
}

// What it costs to count the commits of the sessions of a list: of all 50,000, and
// of the first 20.
func BenchmarkCommitsOfSessions(b *testing.B) {
	of := &bench{store: manySessions(b, 50_000).Store}
	for _, n := range []int{20, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rows := make([]sessionRow, n)
			for i := range rows {
				rows[i].Session = fmt.Sprintf("codex/%d", i)
			}
			for b.Loop() {
				if err := of.joinCommits(b.Context(), rows); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
