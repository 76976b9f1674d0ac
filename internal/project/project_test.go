package project

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
)

func TestMoves(t *testing.T) {
	before := Refs{"a": {Name: "a", At: "1"}, "b": {Name: "b", At: "2"}, "HEAD": {Name: "HEAD", At: "1", Target: "a"}}
	now := Refs{"b": {Name: "b", At: "3"}, "c": {Name: "c", At: "4"}, "HEAD": {Name: "HEAD", At: "1", Target: "c"}}
	moves := before.Moves(now)
	want := []stemma.RefMove{
		{Name: "HEAD", At: "1", From: "1", Target: "c"},
		{Name: "a", From: "1"},
		{Name: "b", At: "3", From: "2"},
		{Name: "c", At: "4"},
	}
	if d := cmp.Diff(want, moves); d != "" {
		t.Errorf("Moves (-want +got):\n%s", d)
	}
}

func TestCommitGivesOneEdgeForEachSession(t *testing.T) {
	model := stemma.Model{Provider: "p", ID: "m", Exact: true}
	row := stemma.Attribution{
		Commit: "c", Time: 7, Lines: stemma.Lines{AI: 5, AIEdited: 2, Unknown: 3},
		Owners: []stemma.Owner{
			{Session: "codex/s", Agent: "codex", Model: model, Class: stemma.ClassAI, Lines: 5},
			{Session: "codex/s", Agent: "codex", Model: model, Class: stemma.ClassAIEdited, Lines: 2},
			{Session: "devin/t", Agent: "devin", Class: stemma.ClassUnknown, Candidate: 3},
		},
	}
	scope := Commit(row, "r")
	kinds := make(map[stemma.EdgeKind]int)
	for _, e := range scope.Edges {
		kinds[e.Kind]++
		if !e.Kind.Joins(e.From.Kind, e.To.Kind) {
			t.Errorf("edge %s -%s-> %s joins what it must not", e.From, e.Kind, e.To)
		}
		if e.Kind == stemma.EdgeWrittenBy && e.To.Key == "codex/s" {
			if want := (stemma.Lines{AI: 5, AIEdited: 2}); e.Lines != want {
				t.Errorf("lines of codex/s = %+v, want %+v", e.Lines, want)
			}
		}
		if e.Strength.Tier != "" && e.Strength.Tier != stemma.TierClaimed {
			t.Errorf("edge %s has tier %s: nothing on one machine is more than claimed", e.Kind, e.Strength.Tier)
		}
	}
	want := map[stemma.EdgeKind]int{stemma.EdgeIn: 1, stemma.EdgeWrittenBy: 2, stemma.EdgeRan: 2, stemma.EdgeUsed: 1}
	if d := cmp.Diff(want, kinds); d != "" {
		t.Errorf("edges (-want +got):\n%s", d)
	}
	if scope.Tally.Sessions != 2 || scope.Tally.Candidate != 3 {
		t.Errorf("tally = %+v, want 2 sessions and 3 candidate lines", scope.Tally)
	}
}

func TestChangeSumsItsCommits(t *testing.T) {
	one, two := Commit(stemma.Attribution{Commit: "1", Time: 1, Lines: stemma.Lines{AI: 2}}, "r"), Commit(stemma.Attribution{Commit: "2", Time: 2, Merge: true, Lines: stemma.Lines{Unknown: 3}}, "r")
	scope := Change("r", "refs/heads/main", "2", []Member{{Tally: *one.Tally, Sessions: []string{"s"}}, {Tally: *two.Tally, Sessions: []string{"s"}}})
	want := stemma.Lines{AI: 2, Unknown: 3}
	if scope.Tally.Lines != want || scope.Tally.Time != 2 || !scope.Tally.Merge || scope.Tally.Sessions != 1 {
		t.Errorf("tally = %+v, want lines %+v at time 2 of a merge with one session", *scope.Tally, want)
	}
}
