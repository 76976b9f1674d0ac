package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma/internal/agent"
)

// rows are rows of a list of sessions, as many as a large company's repository has.
func rows(n int) rememberedRows {
	kept := rememberedRows{Next: 7}
	cost := int64(1234)
	for i := range n {
		kept.Rows = append(kept.Rows, sessionRow{
			Session: fmt.Sprintf("claude-code/%08d \"☃\"\n", i), Agent: "claude-code", Version: "2.1.40", Start: "2026-03-02T09:00:00Z", End: "2026-03-02T10:00:00Z",
			Parent: "claude-code/p", Models: []string{"anthropic/claude-opus-4-6"}, Turns: 3, Prompts: 2, Calls: 40,
			Usage:    &agent.Usage{Requests: 3, Input: 10, CacheRead: 20, CacheWrite: 30, Output: 40, Reasoning: 5, Cost: &cost},
			TaskType: "bugfix", Rewrites: 1, Tickets: []string{"SHOP-42"}, Branch: "main", Commits: []string{"83c840a2c85fe3fda5a25cc24d5669040a42c9c2"}, Gaps: 1,
		})
	}
	return kept
}

func write(tb testing.TB, kept rememberedRows) string {
	tb.Helper()
	text, err := json.Marshal(kept)
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(tb.TempDir(), rowsFile)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// What is remembered of a list is read as it was written, every field of it.
func TestRememberedRows(t *testing.T) {
	want := rows(3)
	want.Rows[1].Usage = nil
	got, ok := readRows(write(t, want))
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("read %t (-written +read):\n%s", ok, diff)
	}
	if _, ok := readRows(filepath.Join(t.TempDir(), "none")); ok {
		t.Error("a file that is not there was read")
	}
}

func BenchmarkSessionRows(b *testing.B) {
	path := write(b, rows(50_000))
	f := sessionFlags{models: []string{"claude-sonnet-*"}}
	for b.Loop() {
		kept, ok := readRows(path)
		n := 0
		for _, r := range kept.Rows {
			if f.takes(r) {
				n++
			}
		}
		if !ok || len(kept.Rows) != 50_000 || n != 0 {
			b.Fatalf("%d rows, %d match", len(kept.Rows), n)
		}
	}
}
