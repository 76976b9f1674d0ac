package agent_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/git"
)

// deltas gives the statements of a session as their predicates.
func deltas(t *testing.T, s agent.Session, told agent.Told) []agent.Delta {
	t.Helper()
	all, err := agent.Statements(s, told)
	if err != nil {
		t.Fatal(err)
	}
	var parts []agent.Delta
	for _, st := range all {
		d, err := attest.As[agent.Delta](st)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, d)
	}
	return parts
}

// A session that was told as it grew, part by part and in whatever order, is the
// session that is told at once.
func TestRetell(t *testing.T) {
	for _, path := range []string{"claudecode/testdata/session.jsonl", "codex/testdata/thread.jsonl", "pi/testdata/session.jsonl"} {
		_, r := readFile(t, path)
		s := r.Sessions[0]
		whole := agent.Retell(deltas(t, s, agent.Told{Final: true, Complete: true}))
		if got, want := whole.Session.Usage(), s.Usage(); !cmp.Equal(got, want) {
			t.Errorf("%s: retold usage %+v, want %+v", path, got, want)
		}
		if len(whole.Session.Turns) != len(s.Turns) || whole.Missing != 0 || !whole.Final || whole.Derived == nil {
			t.Errorf("%s: retold %d turns of %d, %d missing", path, len(whole.Session.Turns), len(s.Turns), whole.Missing)
		}

		var parts []agent.Delta
		for i, turn := range s.Turns {
			part := s
			part.Turns, part.Gaps, part.Compactions, part.Total = []*agent.Turn{turn}, nil, nil, nil
			if i == 0 {
				part.Gaps, part.Compactions, part.Total = s.Gaps, s.Compactions, s.Total
			}
			parts = append(parts, deltas(t, part, agent.Told{First: i + 1, Final: i == len(s.Turns)-1})...)
		}
		slices.Reverse(parts)
		parts = append(parts, parts[0]) // told twice
		again := agent.Retell(parts)
		if diff := cmp.Diff(whole.Session, again.Session); diff != "" {
			t.Errorf("%s: told at once and in parts (-once +parts):\n%s", path, diff)
		}
		if len(parts) > 2 {
			if short := agent.Retell(parts[:1]); short.Missing != parts[0].Number-1 {
				t.Errorf("%s: the last part alone lacks %d, want %d", path, short.Missing, parts[0].Number-1)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	_, r := readFile(t, "claudecode/testdata/session.jsonl")
	w := r.Sessions[0].Written()
	if w.Empty() {
		t.Fatal("the session wrote nothing")
	}
	commit := func(path string, lines ...string) git.Diff {
		var added []git.Line
		for _, l := range lines {
			added = append(added, git.LineOf([]byte(l)))
		}
		return git.Diff{Commit: "c", Files: []git.FileDiff{{Path: path, Hunks: []git.Hunk{{Added: added}}}}}
	}
	at := start.Add(time.Hour).Unix()
	mine := commit("cart.go", "sum = round(sum - discount)", "return sum", "}", "\treturn   sum")
	m, ok := w.Match(mine, at)
	if !ok || m.Lines != 3 || m.Of != 3 || m.Confidence < 0.9 {
		t.Errorf("Match of its own lines = %+v, %t", m, ok)
	}
	if _, ok := w.Match(commit("shop/cart.go", "sum = round(sum - discount)", "return sum", "return sum"), at); !ok {
		t.Error("a session that worked in a folder of the repository is not matched")
	}
	for what, d := range map[string]git.Diff{
		"another folder":    commit("other/cart.go", "sum = round(sum - discount)", "return sum", "return sum"),
		"another file":      commit("other.go", "sum = round(sum - discount)", "return sum", "return sum"),
		"other lines":       commit("cart.go", "func completely() different", "var lines = 1"),
		"what was rejected": commit("cart.go", "sum -= discount", "sum -= discount", "sum -= discount"),
	} {
		if m, ok := w.Match(d, at); ok {
			t.Errorf("Match of %s = %+v, want none", what, m)
		}
	}
	if _, ok := w.Match(mine, start.Add(-time.Hour).Unix()); ok {
		t.Error("a commit that was there before is matched")
	}
	if _, ok := w.Match(mine, start.AddDate(0, 3, 0).Unix()); ok {
		t.Error("a commit of months later is matched")
	}
	late, ok := w.Match(mine, start.AddDate(0, 0, 20).Unix())
	if !ok || late.Confidence >= m.Confidence {
		t.Errorf("a later commit has confidence %v, the early one %v", late.Confidence, m.Confidence)
	}
}
