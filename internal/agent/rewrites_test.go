package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma/internal/git"
)

// What counts as a rewrite of the session's own lines, edit by edit.
func TestRewrites(t *testing.T) {
	type edit struct {
		path, old, new string
		whole          bool
		outcome        Outcome
	}
	at := func(minute int) time.Time { return began.Add(time.Duration(minute) * time.Minute) }
	for _, test := range []struct {
		name  string
		edits []edit // one a minute, each a turn
		want  string // turn: path, minute of what was replaced
	}{
		{"the lines of somebody else", []edit{{"a.go", "theirs", "mine", false, OutcomeOK}}, ""},
		{"its own line", []edit{{"a.go", "", "one", false, OutcomeOK}, {"a.go", "one", "two", false, OutcomeOK}}, "2: a.go of 1"},
		{"a line is replaced once", []edit{{"a.go", "", "one", false, OutcomeOK}, {"a.go", "one", "two", false, OutcomeOK}, {"a.go", "one", "three", false, OutcomeOK}}, "2: a.go of 1"},
		{"the same hunk again and again", []edit{{"a.go", "", "one", false, OutcomeOK}, {"a.go", "one", "two", false, OutcomeOK}, {"a.go", "two", "three", false, OutcomeOK}}, "2: a.go of 1, 3: a.go of 2"},
		{"taken away", []edit{{"a.go", "", "one\ntwo", false, OutcomeOK}, {"a.go", "two\n", "", false, OutcomeOK}}, "2: a.go of 1"},
		{"the youngest of the lines", []edit{{"a.go", "", "one", false, OutcomeOK}, {"a.go", "", "two", false, OutcomeOK}, {"a.go", "one\ntwo", "both", false, OutcomeOK}}, "3: a.go of 2"},
		{"only shown to find the place", []edit{{"a.go", "", "one", false, OutcomeOK}, {"a.go", "one", "one\ntwo", false, OutcomeOK}}, ""},
		{"indented by a formatter", []edit{{"a.go", "", "one()", false, OutcomeOK}, {"a.go", "one()", "\tone()", false, OutcomeOK}}, ""},
		{"of white space alone", []edit{{"a.go", "", "\n\n", false, OutcomeOK}, {"a.go", "\n", "two", false, OutcomeOK}}, ""},
		{"in another file", []edit{{"a.go", "", "one", false, OutcomeOK}, {"b.go", "one", "two", false, OutcomeOK}}, ""},
		{"failed", []edit{{"a.go", "", "one", false, OutcomeOK}, {"a.go", "one", "two", false, OutcomeError}, {"a.go", "one", "two", false, OutcomeNone}}, ""},
		{"a file written anew", []edit{{"a.go", "", "one\ntwo", true, OutcomeOK}, {"a.go", "", "one\n2", true, OutcomeOK}}, "2: a.go of 1"},
		{"a file written anew with more", []edit{{"a.go", "", "one", true, OutcomeOK}, {"a.go", "", "one\ntwo", true, OutcomeOK}}, ""},
	} {
		s := Session{Agent: "claude-code", ID: "s"}
		for i, e := range test.edits {
			c := Call{Kind: KindEdit, Outcome: e.outcome, Start: at(i + 1)}
			c.wrote(e.path, Write, e.old, e.new)
			c.Edits[0].Whole = e.whole
			s.Turns = append(s.Turns, &Turn{Index: i + 1, Calls: []*Call{&c}})
		}
		all := s.Rewrites()
		got := ""
		for i := range test.edits {
			for _, r := range all[i+1] {
				if got != "" {
					got += ", "
				}
				got += fmt.Sprintf("%d: %s of %.0f", i+1, r.Path, r.Of.Sub(began).Minutes())
				if !r.At.Equal(at(i + 1)) {
					t.Errorf("%s: made at %s, want %s", test.name, r.At, at(i+1))
				}
			}
		}
		if got != test.want {
			t.Errorf("%s: rewrites %q, want %q", test.name, got, test.want)
		}
	}
}

// A large file that is written anew again and again does not take time that
// grows with the square of its lines.
func TestRewritesOfLargeFiles(t *testing.T) {
	var lines []git.Line
	for i := range maxHashes {
		lines = append(lines, git.LineOf(fmt.Appendf(nil, "line %d", i)))
	}
	s := Session{Agent: "claude-code", ID: "s", Turns: []*Turn{{Index: 1}}}
	for range 20 {
		s.Turns[0].Calls = append(s.Turns[0].Calls, &Call{Kind: KindEdit, Edits: []Edit{{Path: "a", New: lines[:maxHashes/2], Whole: true}, {Path: "a", Old: lines[:maxHashes/2], New: lines[maxHashes/2:]}}})
	}
	if n := len(s.Rewrites()[1]); n != 39 {
		t.Errorf("%d rewrites, want all but the first edit", n)
	}
}

// What is told of tools and rewrites in parts is put together again, and what
// nobody could know stays unknown.
func TestRetellTools(t *testing.T) {
	first := Rewrite{"a.go", began.Add(time.Minute), began}
	second := Rewrite{"a.go", began.Add(time.Hour), began.Add(time.Minute)}
	tale := Retell([]Delta{
		{Session: "x/s", Number: 1, Turns: []DeltaTurn{{Index: 1, Tools: map[string]int{"Edit": 2}, Calls: map[Kind]int{KindEdit: 2}, Rewrites: []Rewrite{first}}}},
		{Session: "x/s", Number: 2, Turns: []DeltaTurn{
			{Index: 1, Tools: map[string]int{"Edit": 1, "Bash": 1}, Rewrites: []Rewrite{first, second}},
			{Index: 2, Calls: map[Kind]int{KindEdit: 1}},
			{Index: 3, Calls: map[Kind]int{KindRead: 1}},
			{Index: 4, Rewrites: []Rewrite{}, RewritesCut: 1},
		}},
	})
	if diff := cmp.Diff(map[int]map[string]int{1: {"Edit": 3, "Bash": 1}}, tale.Tools); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	want := map[int]TurnRewrites{1: {Told: []Rewrite{first, second}}, 2: {Short: true}, 4: {Short: true}}
	if diff := cmp.Diff(want, tale.Rewrites); diff != "" {
		t.Errorf("rewrites (-want +got):\n%s", diff)
	}
}
