package attribution

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/notes"
)

const commitID = "1111111111111111111111111111111111111111"

// modern is a commit made when coding agents existed, old one made before.
func modern() *git.Commit { return at(1770000000) }
func old() *git.Commit    { return at(1500000000) }

func at(t int64) *git.Commit {
	who := git.Signature{Name: "Ada", Mail: "Ada@Example.org", Time: t}
	return &git.Commit{ID: commitID, Author: who, Committer: who, Parents: []string{"2"}}
}

var rules = Rules{
	AgentEra:  AgentEra,
	Generated: func(path string) bool { return path == "go.sum" },
	Person:    func(identity string) string { return "p(" + identity + ")" },
}

func file(path string, ranges ...git.LineRange) git.FileDiff {
	f := git.FileDiff{Path: path, Ranges: ranges}
	for _, r := range ranges {
		f.Added += r.End - r.Start + 1
	}
	return f
}

func diff(files ...git.FileDiff) git.Diff { return git.Diff{Commit: commitID, Files: files} }

// note is line evidence by one session of an agent.
func note(agent, id, model string, claims ...notes.Claim) Said {
	e := notes.Evidence{Source: "git-ai", Whole: -1, Claims: claims}
	e.Sessions = []notes.Session{{ID: id, Agent: agent, Model: stemma.Model{Provider: "anthropic", ID: model, Exact: true, Raw: model}}}
	return Said{Evidence: e, Input: "blob"}
}

func ai(path string, ranges ...notes.Range) notes.Claim {
	return notes.Claim{Path: path, Class: stemma.ClassAI, Ranges: ranges, Strength: declared}
}

func human(path, person string, ranges ...notes.Range) notes.Claim {
	return notes.Claim{Path: path, Class: stemma.ClassHuman, Session: -1, Person: person, Ranges: ranges, Strength: declared}
}

var declared = stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: "note", Confidence: 1}

// trailer says that an agent took part.
func trailer(agent string) Said {
	return Said{Input: "commit", Evidence: notes.Evidence{
		Source: "trailers", Whole: -1, Sessions: []notes.Session{{Agent: agent, Strength: declared}}, Took: []int{0},
	}}
}

// author says that an agent's own account authored the commit.
func author(agent string) Said {
	return Said{Input: "commit", Evidence: notes.Evidence{
		Source: "trailers", Whole: 0, WholeStrength: stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Inferred, Method: "agent-author", Confidence: .9},
		Sessions: []notes.Session{{Agent: agent}},
	}}
}

func TestCommit(t *testing.T) {
	main := file("main.go", git.LineRange{Start: 3, End: 6}, git.LineRange{Start: 10, End: 10})
	for _, test := range []struct {
		name      string
		commit    *git.Commit
		diff      git.Diff
		said      []Said
		want      stemma.Lines
		candidate int // of the first owner
		conflicts int
		outside   int
	}{
		{"no evidence is unknown, never human", modern(), diff(main), nil, stemma.Lines{Unknown: 5}, 0, 0, 0},
		{"before agents it is human", old(), diff(main), nil, stemma.Lines{Human: 5}, 0, 0, 0},
		{"before agents with evidence it is not", old(), diff(main), []Said{trailer("codex")}, stemma.Lines{Unknown: 5}, 5, 0, 0},
		{"a note is intersected with the added lines", modern(), diff(main), []Said{note("claude-code", "s", "m", ai("main.go", notes.Range{Start: 1, End: 4}))}, stemma.Lines{AI: 2, Unknown: 3}, 0, 0, 2},
		{"a range of 1-99999 stays within", modern(), diff(main), []Said{note("claude-code", "s", "m", ai("main.go", notes.Range{Start: 1, End: 99999}))}, stemma.Lines{AI: 5}, 0, 0, 99994},
		{"a file that the commit did not touch adds nothing", modern(), diff(main), []Said{note("claude-code", "s", "m", ai("other.go", notes.Range{Start: 1, End: 9}))}, stemma.Lines{Unknown: 5}, 0, 0, 9},
		{"a trailer leaves lines unknown", modern(), diff(main), []Said{trailer("codex")}, stemma.Lines{Unknown: 5}, 5, 0, 0},
		{"an agent's own account wrote everything", modern(), diff(main), []Said{author("devin")}, stemma.Lines{AI: 5}, 0, 0, 0},
		{"generated lines are set apart", modern(), diff(main, file("go.sum", git.LineRange{Start: 1, End: 100})), []Said{author("devin")}, stemma.Lines{AI: 5, Generated: 100}, 0, 0, 0},
		{"a note on a generated file does not make it AI", modern(), diff(file("go.sum", git.LineRange{Start: 1, End: 9})), []Said{note("claude-code", "s", "m", ai("go.sum", notes.Range{Start: 1, End: 9}))}, stemma.Lines{Generated: 9}, 0, 0, 0},
		{"a later claim of one source stands over an earlier one", modern(), diff(main), []Said{note("claude-code", "s", "m", ai("main.go", notes.Range{Start: 3, End: 6}), human("main.go", "h_1", notes.Range{Start: 4, End: 4}))}, stemma.Lines{AI: 3, Human: 1, Unknown: 1}, 0, 0, 0},
		{"sources that contradict each other leave the line unknown", modern(), diff(main), []Said{note("claude-code", "s", "m", ai("main.go", notes.Range{Start: 3, End: 6})), note("", "", "", human("main.go", "h_1", notes.Range{Start: 6, End: 6}))}, stemma.Lines{AI: 3, Unknown: 2}, 1, 1, 0},
		{"a note speaks before the author of the commit", modern(), diff(main), []Said{note("claude-code", "s", "m", human("main.go", "h_1", notes.Range{Start: 3, End: 3})), author("devin")}, stemma.Lines{AI: 4, Human: 1}, 0, 0, 0},
		{"what could not be read has no lines", modern(), git.Diff{Commit: commitID, Unreadable: "gone"}, nil, stemma.Lines{}, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			row := Commit(test.commit, test.diff, test.said, nil, rules)
			if row.Lines != test.want {
				t.Errorf("Lines = %+v, want %+v", row.Lines, test.want)
			}
			if row.Conflicts != test.conflicts {
				t.Errorf("Conflicts = %d, want %d", row.Conflicts, test.conflicts)
			}
			outside, candidate := 0, 0
			for _, s := range row.Sources {
				outside += s.Outside
			}
			for _, o := range row.Owners {
				candidate = max(candidate, o.Candidate)
			}
			if outside != test.outside {
				t.Errorf("Outside = %d, want %d", outside, test.outside)
			}
			if candidate != test.candidate {
				t.Errorf("Candidate = %d, want %d", candidate, test.candidate)
			}
			check(t, row, test.diff)
		})
	}
}

// check holds what every row must keep.
func check(t *testing.T, row stemma.Attribution, d git.Diff) {
	t.Helper()
	added, owned := 0, 0
	for _, f := range d.Files {
		added += f.Added
	}
	if row.Unreadable == "" && row.Lines.Added() != added {
		t.Errorf("row counts %d lines, the commit added %d", row.Lines.Added(), added)
	}
	for _, o := range row.Owners {
		owned += o.Lines
		if o.Lines > row.Lines.Of(o.Class) {
			t.Errorf("owner %+v has more lines than its class, %d", o, row.Lines.Of(o.Class))
		}
		if o.Candidate > row.Lines.Unknown {
			t.Errorf("owner %+v may have written more than the %d unknown lines", o, row.Lines.Unknown)
		}
	}
	if owned > added {
		t.Errorf("owners have %d lines, the commit added %d", owned, added)
	}
	in := make(map[string][]git.LineRange)
	for _, f := range d.Files {
		in[f.Path] = f.Ranges
	}
	for _, f := range row.Files {
		end := 0
		for _, r := range f.Ranges {
			if f.Whole {
				continue
			}
			if r.Start <= end {
				t.Errorf("%s: ranges overlap or are out of order: %+v", f.Path, f.Ranges)
			}
			end = r.End
			for n := r.Start; n <= r.End; n++ {
				if !slices.ContainsFunc(in[f.Path], func(a git.LineRange) bool { return a.Start <= n && n <= a.End }) {
					t.Errorf("%s:%d is attributed, but the commit did not add it", f.Path, n)
				}
			}
		}
	}
}

func TestTrailerAndNoteOfOneAgentAreOneSession(t *testing.T) {
	d := diff(file("a", git.LineRange{Start: 1, End: 10}))
	row := Commit(modern(), d, []Said{note("claude-code", "s1", "m", ai("a", notes.Range{Start: 1, End: 4})), trailer("claude-code")}, nil, rules)
	if len(row.Owners) != 1 {
		t.Fatalf("owners = %+v, want the session of the note alone", row.Owners)
	}
	o := row.Owners[0]
	if o.Session != "claude-code/s1" || o.Lines != 4 || o.Candidate != 6 {
		t.Errorf("owner = %+v, want claude-code/s1 with 4 lines and 6 as candidate", o)
	}
	row = Commit(modern(), d, []Said{note("claude-code", "s1", "m", ai("a", notes.Range{Start: 1, End: 4})), trailer("codex")}, nil, rules)
	if len(row.Owners) != 2 || row.Owners[1].Session != "codex/commit@"+commitID || row.Owners[1].Candidate != 6 {
		t.Errorf("owners = %+v, want a session of codex as candidate of 6 lines", row.Owners)
	}
}

func TestAgreementBetweenSources(t *testing.T) {
	d := diff(file("a", git.LineRange{Start: 1, End: 10}))
	one := note("claude-code", "s1", "m", ai("a", notes.Range{Start: 1, End: 6}))
	two := note("codex", "s2", "n", ai("a", notes.Range{Start: 5, End: 8}))
	row := Commit(modern(), d, []Said{one, two}, nil, rules)
	if want := (stemma.Lines{AI: 8, Unknown: 2}); row.Lines != want {
		t.Errorf("Lines = %+v, want %+v", row.Lines, want)
	}
	want := []stemma.SourceClaim{
		{Source: "git-ai", Lines: stemma.Lines{AI: 6}, Alone: 4, Differ: 2},
		{Source: "git-ai", Lines: stemma.Lines{AI: 4}, Alone: 2, Differ: 2},
	}
	if d := cmp.Diff(want, row.Sources); d != "" {
		t.Errorf("sources (-want +got):\n%s", d)
	}
	if row.Owners[0].Lines != 6 || row.Owners[1].Lines != 2 {
		t.Errorf("owners = %+v, want the first source to own the lines both claim", row.Owners)
	}
}

func TestAuthorAndNoteAreCompared(t *testing.T) {
	d := diff(file("a", git.LineRange{Start: 1, End: 10}))
	row := Commit(modern(), d, []Said{note("devin", "s1", "m", ai("a", notes.Range{Start: 1, End: 4}), human("a", "h_1", notes.Range{Start: 5, End: 5})), author("devin")}, nil, rules)
	if want := (stemma.Lines{AI: 9, Human: 1}); row.Lines != want {
		t.Errorf("Lines = %+v, want %+v", row.Lines, want)
	}
	want := []stemma.SourceClaim{
		{Source: "git-ai", Lines: stemma.Lines{AI: 4, Human: 1}, Agree: 4, Differ: 1},
		{Source: "trailers", Lines: stemma.Lines{AI: 10}, Alone: 5, Agree: 4, Differ: 1},
	}
	if d := cmp.Diff(want, row.Sources); d != "" {
		t.Errorf("sources (-want +got):\n%s", d)
	}
}

func TestInputTellsRowsApart(t *testing.T) {
	d := diff(file("a", git.LineRange{Start: 1, End: 10}))
	n := note("claude-code", "s1", "m", ai("a", notes.Range{Start: 1, End: 4}))
	other := n
	other.Input = "another blob"
	plain := Rules{AgentEra: AgentEra, Person: rules.Person}
	generated := plain
	generated.Generated = func(string) bool { return true }
	inputs := make(map[string]string)
	for name, row := range map[string]stemma.Attribution{
		"nothing":   Commit(modern(), d, nil, nil, plain),
		"note":      Commit(modern(), d, []Said{n}, nil, plain),
		"other":     Commit(modern(), d, []Said{other}, nil, plain),
		"generated": Commit(modern(), d, []Said{n}, nil, generated),
		"diff":      Commit(modern(), diff(file("a", git.LineRange{Start: 2, End: 11})), []Said{n}, nil, plain),
	} {
		if twin, ok := inputs[row.Input]; ok {
			t.Errorf("%s and %s have one input digest", name, twin)
		}
		inputs[row.Input] = name
	}
	if a, b := Commit(modern(), d, []Said{n}, nil, plain).Input, Commit(modern(), d, []Said{n}, nil, plain).Input; a != b {
		t.Errorf("the same input gives %s and %s", a, b)
	}
}

// TestAnyEvidence holds the invariants under made-up evidence of all sorts.
func TestAnyEvidence(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	for range 3000 {
		d := randomDiff(r)
		var said []Said
		for range r.IntN(4) {
			switch r.IntN(4) {
			case 0:
				said = append(said, trailer(fmt.Sprintf("agent%d", r.IntN(2))))
			case 1:
				said = append(said, author("devin"))
			default:
				said = append(said, randomNote(r))
			}
		}
		row := Commit(at(r.Int64N(1800000000)), d, said, nil, rules)
		check(t, row, d)
		if t.Failed() {
			t.Fatalf("evidence %+v on %+v gave %+v", said, d, row)
		}
	}
}

func randomDiff(r *rand.Rand) git.Diff {
	var files []git.FileDiff
	for _, path := range []string{"a", "b", "go.sum"} {
		var ranges []git.LineRange
		at := 0
		for range r.IntN(4) {
			start := at + 1 + r.IntN(5)
			at = start + r.IntN(5)
			ranges = append(ranges, git.LineRange{Start: start, End: at})
			at++
		}
		files = append(files, file(path, ranges...))
	}
	return diff(files...)
}

func randomNote(r *rand.Rand) Said {
	var claims []notes.Claim
	for range r.IntN(6) {
		start := 1 + r.IntN(30)
		lines := notes.Range{Start: start, End: start + r.IntN(20)}
		path := []string{"a", "b", "c", "go.sum"}[r.IntN(4)]
		if r.IntN(3) == 0 {
			claims = append(claims, human(path, "h_1", lines))
		} else {
			claims = append(claims, ai(path, lines))
		}
	}
	return note(fmt.Sprintf("agent%d", r.IntN(2)), fmt.Sprint("s", r.IntN(3)), "m", claims...)
}

func BenchmarkCommit(b *testing.B) {
	d := diff(file("a", git.LineRange{Start: 1, End: 10000}))
	said := []Said{note("claude-code", "s", "m", ai("a", notes.Range{Start: 100, End: 9000})), trailer("codex")}
	for b.Loop() {
		Commit(modern(), d, said, nil, rules)
	}
}
