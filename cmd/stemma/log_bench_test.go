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

// What it costs to count the commits of the sessions of a list, each of which
// evidence gives lines of one: of 20; of 50,000 for the first time; again; and
// after one more commit.
func BenchmarkCommitsOfSessions(b *testing.B) {
	const sessions = 50_000
	of := &bench{store: manySessions(b, sessions).Store, dir: b.TempDir()}
	var batch store.Batch
	for i := range sessions / 10 {
		batch.Scopes = append(batch.Scopes, writtenBy(fmt.Sprintf("%040x", i+1), i*10, i*10+10))
	}
	if err := of.store.Put(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	known := rememberedRows{Next: 1, Rows: make([]sessionRow, sessions)}
	for i := range known.Rows {
		known.Rows[i] = sessionRow{Session: fmt.Sprintf("codex/%d", i), Models: []string{}, Tickets: []string{}, Commits: []string{}}
	}
	join := func(b *testing.B, known rememberedRows, n int) {
		rows := append([]sessionRow{}, known.Rows[:n]...)
		if err := of.joinCommits(b.Context(), places(rows), known); err != nil {
			b.Fatal(err)
		}
		if got := len(rows[n-1].Commits); got < 1 {
			b.Fatalf("%d commits of the last session", got)
		}
	}
	b.Run("20", func(b *testing.B) {
		for b.Loop() {
			join(b, known, 20)
		}
	})
	b.Run("all, first", func(b *testing.B) {
		for b.Loop() {
			join(b, known, sessions)
		}
	})
	remembered := func(b *testing.B) rememberedRows {
		kept, ok := readRows(of.rowsPath())
		if !ok || kept.Graph == "" {
			b.Fatal("nothing is remembered")
		}
		return kept
	}
	b.Run("all, again", func(b *testing.B) {
		kept := remembered(b)
		for b.Loop() {
			join(b, kept, sessions)
		}
	})
	b.Run("all, one commit more", func(b *testing.B) {
		n := 0
		for b.Loop() {
			b.StopTimer()
			n++
			if err := of.store.Put(b.Context(), store.Batch{Scopes: []store.Scope{writtenBy(fmt.Sprintf("f%039x", n), 7, 8)}}); err != nil {
				b.Fatal(err)
			}
			kept := remembered(b)
			b.StartTimer()
			join(b, kept, sessions)
		}
	})
}

// writtenBy is a commit of which some of the sessions of manySessions wrote a line.
func writtenBy(commit string, from, to int) store.Scope {
	row := stemma.Attribution{Commit: commit, Time: 1_700_000_000, Lines: stemma.Lines{AI: to - from}, Rest: stemma.ClassUnknown, RestOwner: -1}
	for i := from; i < to; i++ {
		row.Owners = append(row.Owners, stemma.Owner{
			Class: stemma.ClassAI, Session: fmt.Sprintf("codex/%d", i), Agent: "codex", Source: "git-ai", Lines: 1,
			Strength: stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Confidence: 1},
		})
	}
	return project.Commit(row, "r")
}
