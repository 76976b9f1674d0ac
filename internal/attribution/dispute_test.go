package attribution

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

func TestDisputes(t *testing.T) {
	main := diff(file("main.go", git.LineRange{Start: 3, End: 6}, git.LineRange{Start: 10, End: 10}))
	span := func(start, end int) notes.Range { return notes.Range{Start: start, End: end} }
	for _, test := range []struct {
		name string
		said []Said
		want string
	}{
		{"sources that agree", []Said{note("codex", "a", "m", ai("main.go", span(1, 99))), note("codex", "b", "m", ai("main.go", span(1, 99)))}, ""},
		{"a source alone", []Said{note("codex", "a", "m", ai("main.go", span(1, 99)))}, ""},
		{
			"another class",
			[]Said{note("codex", "a", "m", ai("main.go", span(1, 4))), note("", "", "", human("main.go", "h", span(4, 9)))},
			"main.go:4-4 unknown: ai codex/a, human p(git-ai:h)",
		},
		{
			"another agent",
			[]Said{note("codex", "a", "m", ai("main.go", span(5, 10))), note("claude-code", "b", "m", ai("main.go", span(5, 10)))},
			"main.go:5-6 ai: ai codex/a, ai claude-code/b; main.go:10-10 ai: ai codex/a, ai claude-code/b",
		},
		{
			"the author of the whole commit yields",
			[]Said{note("", "", "", human("main.go", "h", span(3, 3))), author("devin")},
			"main.go:3-3 human: human p(git-ai:h), whole ai devin/commit@" + commitID,
		},
		{"outside of what was added", []Said{note("codex", "a", "m", ai("main.go", span(7, 9))), note("", "", "", human("main.go", "h", span(7, 9)))}, ""},
		{"who may have written it says nothing", []Said{note("codex", "a", "m", ai("main.go", span(3, 3))), note("claude-code", "b", "m",
			notes.Claim{Path: "main.go", Class: stemma.ClassUnknown, Ranges: []notes.Range{span(3, 3)}, Strength: declared})}, ""},
	} {
		var got []string
		for _, d := range Disputes(modern(), main, test.said, rules) {
			var says []string
			for _, s := range d.Says {
				text := fmt.Sprintf("%s %s%s", s.Class, s.Session, s.Person)
				if s.Whole {
					text = "whole " + text
				}
				says = append(says, text)
			}
			got = append(got, fmt.Sprintf("%s:%d-%d %s: %s", d.Path, d.Start, d.End, d.Class, strings.Join(says, ", ")))
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%s: disputes %q, want %q", test.name, got, test.want)
		}
	}
}

// Whatever sources say, the disputed lines are those that the row counts.
func TestDisputesAreWhatTheRowCounts(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		d := diff(file("a", git.LineRange{Start: 1, End: 5}, git.LineRange{Start: 8, End: 12}))
		var said []Said
		for i := range 1 + rnd.IntN(3) {
			var claims []notes.Claim
			for range rnd.IntN(4) {
				start := 1 + rnd.IntN(12)
				r := notes.Range{Start: start, End: start + rnd.IntN(5)}
				if rnd.IntN(2) == 0 {
					claims = append(claims, ai("a", r))
				} else {
					claims = append(claims, human("a", "h", r))
				}
			}
			said = append(said, note([]string{"codex", "cursor"}[rnd.IntN(2)], fmt.Sprint(i), "m", claims...))
		}
		if rnd.IntN(2) == 0 {
			said = append(said, author("codex"))
		}
		row := Commit(modern(), d, said, nil, rules)
		differ, conflicts := 0, 0
		for _, d := range Disputes(modern(), d, said, rules) {
			differ += (d.End - d.Start + 1) * len(d.Says)
			if d.Class == stemma.ClassUnknown {
				conflicts += d.End - d.Start + 1
			}
		}
		counted := 0
		for _, s := range row.Sources {
			counted += s.Differ
		}
		if counted != differ || conflicts != row.Conflicts {
			t.Fatalf("seed %d: %d sayings on disputed lines and %d conflicts, the row counts %d and %d", seed, differ, conflicts, counted, row.Conflicts)
		}
	}
}

// A session of which a source knows neither id nor agent is one of those that
// others name; one with two models is one; and one that has lines may have the
// open ones too.
func TestTookPart(t *testing.T) {
	main := diff(file("main.go", git.LineRange{Start: 1, End: 9}))
	took := func(source string, partial bool, sessions ...notes.Session) Said {
		e := notes.Evidence{Source: source, Whole: -1, Sessions: sessions, Partial: partial}
		for i := range sessions {
			e.Took = append(e.Took, i)
		}
		return Said{Evidence: e, Input: source}
	}
	model := func(id string) stemma.Model { return stemma.Model{Provider: "anthropic", ID: id, Raw: id} }
	for _, test := range []struct {
		name     string
		said     []Said
		sessions int    // of the owners
		took     string // of the sources
	}{
		{"nobody knows who", []Said{took("entire", false, notes.Session{Strength: declared})}, 1, "1"},
		{"another says the agent", []Said{took("entire", false, notes.Session{Strength: declared}), trailer("claude-code")}, 1, "1 1"},
		{"another says the session", []Said{took("entire", false, notes.Session{ID: "s", Agent: "claude-code", Strength: declared}), trailer("claude-code")}, 1, "1 1"},
		{"two models", []Said{took("entire", false, notes.Session{ID: "s", Agent: "a", Model: model("x")}, notes.Session{ID: "s", Agent: "a", Model: model("y")})}, 1, "1"},
		{"two sessions", []Said{took("entire", false, notes.Session{ID: "s", Agent: "a"}, notes.Session{ID: "t", Agent: "a"})}, 2, "2"},
		{"one that has lines", []Said{note("a", "s", "m", ai("main.go", notes.Range{Start: 1, End: 4})), took("entire", false, notes.Session{ID: "s", Agent: "a", Model: model("m")})}, 1, "0 1"},
	} {
		row := Commit(modern(), main, test.said, nil, rules)
		sessions := make(map[string]bool)
		open := row.Lines.Unknown
		for _, o := range row.Owners {
			sessions[o.Session] = true
			if o.Candidate != open {
				t.Errorf("%s: %s may have written %d lines, want %d", test.name, o.Session, o.Candidate, open)
			}
		}
		var counts []string
		for _, s := range row.Sources {
			counts = append(counts, fmt.Sprint(s.Took))
		}
		if len(sessions) != test.sessions || strings.Join(counts, " ") != test.took {
			t.Errorf("%s: %d sessions, took %q; want %d, %q", test.name, len(sessions), counts, test.sessions, test.took)
		}
	}
}

// Lines of one owner that are known in two ways are known as well as the weaker.
func TestAnOwnerIsAsSureAsItsWeakestLines(t *testing.T) {
	weak := ai("main.go", notes.Range{Start: 2, End: 2})
	weak.Strength.Confidence, weak.Strength.Method = 0.6, "guess"
	row := Commit(modern(), diff(file("main.go", git.LineRange{Start: 1, End: 3})),
		[]Said{note("codex", "a", "m", ai("main.go", notes.Range{Start: 1, End: 1}), weak)}, nil, rules)
	if len(row.Owners) != 1 || row.Owners[0].Strength != weak.Strength || row.Owners[0].Lines != 2 {
		t.Errorf("owners %+v, want one with two lines and %+v", row.Owners, weak.Strength)
	}
}
