package sqlite_test

import (
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
)

// A repository of the size of moby/moby: 57,000 commits, of which 25,000 are on
// the first-parent line, with ten paths each out of 20,000.
const (
	benchCommits = 57_000
	benchChanges = 25_000
	benchBatch   = 2_000
	benchPaths   = 20_000
)

func benchCommit(n int) store.Scope {
	key := fmt.Sprintf("%x", sha1.Sum([]byte{byte(n), byte(n >> 8), byte(n >> 16)}))
	id := stemma.CommitID(key)
	strength := stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: "trailer", Confidence: 1}
	session := stemma.SessionID("claude-code", fmt.Sprint("session-", n/10))
	lines := stemma.Lines{AI: n % 7, Human: 100}
	edge := func(from stemma.NodeID, kind stemma.EdgeKind, to stemma.NodeID) stemma.Edge {
		return stemma.Edge{From: from, Kind: kind, To: to, Source: "trailers", Strength: strength}
	}
	a := &stemma.Attribution{
		Commit: key, Time: int64(1_600_000_000 + n*1000), Lines: lines, Rest: stemma.ClassHuman, RestOwner: -1,
		Algorithm: 1, Input: fmt.Sprintf("%x%x", sha1.Sum([]byte(key)), "0123456789ab"),
	}
	for i := range 10 {
		p := (n*31 + i*i*17) % benchPaths
		a.Files = append(a.Files, stemma.FileLines{Path: fmt.Sprintf("%s/pkg%d/file_%d.go", []string{"src", "daemon", "api"}[p%3], p%400, p), Added: 10})
	}
	edges := []stemma.Edge{
		edge(id, stemma.EdgeIn, stemma.NodeID{Kind: stemma.KindRepository, Key: "github.com#1"}),
		edge(id, stemma.EdgeWrittenBy, session),
		edge(session, stemma.EdgeUsed, stemma.NodeID{Kind: stemma.KindModel, Key: fmt.Sprint("anthropic/claude-", n%3)}),
	}
	if n%2 == 0 {
		edges = append(edges, edge(session, stemma.EdgeRan, stemma.NodeID{Kind: stemma.KindAgent, Key: "claude-code"}))
	}
	return store.Scope{
		ID: id, Edges: edges, Attribution: a,
		Tally: &store.Tally{Node: id, Group: "github.com#1", Time: a.Time, Lines: lines, Sessions: 1},
	}
}

func benchScopes(n int) []store.Scope {
	scopes := make([]store.Scope, n)
	for i := range scopes {
		scopes[i] = benchCommit(i)
	}
	return scopes
}

func benchPut(b testing.TB, s *sqlite.Store, scopes []store.Scope) {
	b.Helper()
	for i := 0; i < len(scopes); i += benchBatch {
		if err := s.Put(b.Context(), store.Batch{
			Scopes: scopes[i:min(i+benchBatch, len(scopes))],
			Marks:  map[string]string{"at": fmt.Sprint(i)},
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// benchStore is a store filled with commits, and with the changes made of them.
func benchStore(b *testing.B) *sqlite.Store {
	b.Helper()
	s := mustOpen(b, b.TempDir(), "acme")
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	scopes := benchScopes(benchCommits)
	for i := range benchChanges {
		tally := *scopes[i*2].Tally
		id := stemma.ChangeID("github.com#1", scopes[i*2].ID.Key)
		tally.Node = id
		scopes = append(scopes, store.Scope{ID: id, Tally: &tally, Edges: []stemma.Edge{
			{From: scopes[i*2].ID, Kind: stemma.EdgePartOf, To: id, Strength: stemma.Strength{Tier: stemma.TierClaimed}},
		}})
	}
	benchPut(b, s, scopes)
	return s
}

func BenchmarkPut(b *testing.B) {
	scopes := benchScopes(benchCommits)
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		s := mustOpen(b, dir, "acme")
		b.StartTimer()
		benchPut(b, s, scopes)
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "graph.db"))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/benchCommits, "file-B/commit")
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N)*benchCommits/b.Elapsed().Seconds(), "commits/s")
}

// What BenchmarkPut takes less than this is the price of nine keys for each
// commit.
func BenchmarkPutKeys(b *testing.B) {
	scopes := benchScopes(benchCommits)
	for i := range scopes {
		for k := range 9 {
			scopes[i].Keys = append(scopes[i].Keys, fmt.Sprint("blob:", k, scopes[i].ID.Key))
		}
	}
	for b.Loop() {
		b.StopTimer()
		s := mustOpen(b, b.TempDir(), "acme")
		b.StartTimer()
		benchPut(b, s, scopes)
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.N)*benchCommits*9/b.Elapsed().Seconds(), "keys/s")
}

func BenchmarkPutAgain(b *testing.B) {
	scopes := benchScopes(benchCommits)
	s := mustOpen(b, b.TempDir(), "acme")
	defer s.Close()
	benchPut(b, s, scopes)
	for b.Loop() {
		benchPut(b, s, scopes)
	}
	b.ReportMetric(float64(b.N)*benchCommits/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkTallies(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		n := 0
		for _, err := range s.Tallies(b.Context(), store.TallyQuery{Kind: stemma.KindChange}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != benchChanges {
			b.Fatalf("%d tallies, want %d", n, benchChanges)
		}
	}
}

// BenchmarkTalliesPage lists the newest fifty.
func BenchmarkTalliesPage(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		for _, err := range s.Tallies(b.Context(), store.TallyQuery{Kind: stemma.KindChange, Limit: 50}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkEdges walks from a model to its sessions, and to their commits.
func BenchmarkEdges(b *testing.B) {
	s := benchStore(b)
	walk := func(to []stemma.NodeID, kind stemma.EdgeKind) []stemma.NodeID {
		seen := make(map[stemma.NodeID]bool)
		var from []stemma.NodeID
		for e, err := range s.Edges(b.Context(), store.EdgeQuery{To: to, Kinds: []stemma.EdgeKind{kind}}) {
			if err != nil {
				b.Fatal(err)
			}
			if !seen[e.From] {
				seen[e.From] = true
				from = append(from, e.From)
			}
		}
		return from
	}
	var sessions, commits []stemma.NodeID
	for b.Loop() {
		sessions = walk([]stemma.NodeID{{Kind: stemma.KindModel, Key: "anthropic/claude-1"}}, stemma.EdgeUsed)
		commits = walk(sessions, stemma.EdgeWrittenBy)
	}
	b.ReportMetric(float64(len(sessions)), "sessions")
	b.ReportMetric(float64(len(commits)), "commits")
}

// BenchmarkEdgesOfOneSession is the usual walk: a few edges.
func BenchmarkEdgesOfOneSession(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		for _, err := range s.Edges(b.Context(), store.EdgeQuery{To: []stemma.NodeID{stemma.SessionID("claude-code", "session-7")}}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkEdgesAll(b *testing.B) {
	s := benchStore(b)
	n := 0
	for b.Loop() {
		n = 0
		for _, err := range s.Edges(b.Context(), store.EdgeQuery{}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n), "edges")
}

func BenchmarkCommitsTouching(b *testing.B) {
	s := benchStore(b)
	for _, path := range []string{"src", "src/pkg0/file_0.go", ""} {
		b.Run("path="+path, func(b *testing.B) {
			n := 0
			for b.Loop() {
				n = 0
				for _, err := range s.CommitsTouching(b.Context(), []string{path}) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
			}
			b.ReportMetric(float64(n), "commits")
		})
	}
}

func BenchmarkAllAttributions(b *testing.B) {
	s := benchStore(b)
	for b.Loop() {
		n := 0
		for _, err := range s.AllAttributions(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != benchCommits {
			b.Fatalf("%d rows, want %d", n, benchCommits)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := mustOpen(b, dir, "acme")
	benchPut(b, s, benchScopes(benchBatch))
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := mustOpen(b, dir, "acme").Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenNew(b *testing.B) {
	root := b.TempDir()
	for i := 0; b.Loop(); i++ {
		if err := mustOpen(b, filepath.Join(root, fmt.Sprint(i)), "acme").Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDropGraph(b *testing.B) {
	scopes := benchScopes(benchCommits)
	s := mustOpen(b, b.TempDir(), "acme")
	defer s.Close()
	for b.Loop() {
		b.StopTimer()
		benchPut(b, s, scopes)
		b.StartTimer()
		if err := s.DropGraph(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
