package attribution

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

// made is a file of which each line knows who put it there.
type made []struct {
	text string
	by   int // commit, or -1
}

// edited gives the file after a random edit by a commit, and the difference.
func (m made) edited(r *rand.Rand, by int) (made, git.FileDiff) {
	f := git.FileDiff{Path: "a.go", Status: 'M', Old: fmt.Sprint("blob", by-1), New: fmt.Sprint("blob", by)}
	var out made
	at := 0
	for range 1 + r.IntN(3) {
		keep := r.IntN(4) + 1
		for ; keep > 0 && at < len(m); keep-- {
			out = append(out, m[at])
			at++
		}
		h := git.Hunk{}
		for range min(r.IntN(3), len(m)-at) {
			h.Removed = append(h.Removed, git.LineOf([]byte(m[at].text)))
			at++
		}
		for n := range r.IntN(4) {
			text := fmt.Sprintf("func made%d_%d_%d(input string) error { return nil }", by, n, r.IntN(1000))
			if r.IntN(4) == 0 {
				text = "}"
			}
			out = append(out, struct {
				text string
				by   int
			}{text, by})
			h.Added = append(h.Added, git.LineOf([]byte(text)))
		}
		h.OldStart = at - len(h.Removed) + 1
		if len(h.Removed) == 0 {
			h.OldStart--
		}
		h.NewStart = len(out) - len(h.Added) + 1
		if len(h.Removed)+len(h.Added) > 0 {
			f.Hunks = append(f.Hunks, h)
		}
		if len(h.Added) > 0 {
			f.Ranges = append(f.Ranges, git.LineRange{Start: h.NewStart, End: len(out)})
			f.Added += len(h.Added)
		}
	}
	return append(out, m[at:]...), f
}

// TestSquashIsReplayed compares the replay of random edits with the file that
// remembers who put each line where it is.
func TestSquashIsReplayed(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 6))
	lines := 0
	for round := range 300 {
		file := made{{"one", -1}, {"two", -1}, {"}", -1}, {"three", -1}, {"}", -1}}
		before := file
		var known Known
		for n := range 1 + r.IntN(12) {
			var f git.FileDiff
			file, f = file.edited(r, n)
			known.Squashed = append(known.Squashed, versionOf(n, f))
		}
		// The target adds what was not there before.
		f := git.FileDiff{Path: "a.go", Status: 'M', Old: "before", New: "after", Hunks: []git.Hunk{{OldStart: 1, NewStart: 1}}}
		h := &f.Hunks[0]
		for _, l := range before {
			h.Removed = append(h.Removed, git.LineOf([]byte(l.text)))
		}
		for _, l := range file {
			h.Added = append(h.Added, git.LineOf([]byte(l.text)))
		}
		f.Added, f.Ranges = len(file), []git.LineRange{{Start: 1, End: len(file)}}
		target := versionOf(99, f)
		target.Row = nil
		resolved := Resolve(target, nil, known)
		for i, l := range file {
			owners, ok := resolved.at("a.go", i+1)
			lines++
			switch {
			case l.by < 0 && ok:
				t.Fatalf("round %d: line %d was there before and has an owner", round, i+1)
			case l.by >= 0 && (!ok || len(owners) != 1 || resolved.Owners[owners[0]].Via != fmt.Sprint("commit", l.by)):
				t.Fatalf("round %d: line %d (%s) is not of commit%d", round, i+1, l.text, l.by)
			}
		}
		row := Commit(target.Commit, target.Diff, nil, resolved, Rules{AgentEra: 1, Person: func(s string) string { return s }})
		if row.Lines.Added() != len(file) {
			t.Fatalf("round %d: the row counts %d lines of %d", round, row.Lines.Added(), len(file))
		}
	}
	if lines < 1000 {
		t.Errorf("%d lines were compared, too few to show anything", lines)
	}
}

// versionOf is a commit that one session wrote every line of.
func versionOf(n int, f git.FileDiff) Version {
	c := &git.Commit{ID: fmt.Sprint("commit", n), Author: git.Signature{Name: "a", Time: int64(100 + n)}, Committer: git.Signature{Name: "c", Time: int64(100 + n)}}
	row := &stemma.Attribution{
		Commit: c.ID, RestOwner: -1, Rest: stemma.ClassUnknown,
		Owners: []stemma.Owner{{Session: fmt.Sprint("s", n), Class: stemma.ClassAI, Lines: max(f.Added, 1), Strength: stemma.Strength{Confidence: 1}}},
		Files:  []stemma.FileLines{{Path: f.Path, Added: f.Added}},
	}
	for _, r := range f.Ranges {
		row.Files[0].Ranges = append(row.Files[0].Ranges, stemma.OwnedRange{Start: r.Start, End: r.End, Class: stemma.ClassAI})
	}
	return Version{Commit: c, Diff: git.Diff{Commit: c.ID, Files: []git.FileDiff{f}}, Row: row}
}

// TestOrderOfOriginsDoesNotMatter shuffles the origins of one target.
func TestOrderOfOriginsDoesNotMatter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	for round := range 100 {
		file := made{{"one", -1}}
		var origins []Origin
		for n := range 2 + r.IntN(6) {
			var f git.FileDiff
			file, f = file.edited(r, n)
			origins = append(origins, Origin{Version: versionOf(n, f), Series: r.IntN(3), Age: n})
		}
		target := versionOf(50, origins[r.IntN(len(origins))].Diff.Files[0])
		target.Row = nil
		input := func() string {
			return Commit(target.Commit, target.Diff, nil, Resolve(target, origins, Known{}), Rules{AgentEra: 1, Person: func(s string) string { return s }}).Input
		}
		want := input()
		for range 5 {
			r.Shuffle(len(origins), func(i, j int) { origins[i], origins[j] = origins[j], origins[i] })
			if input() != want {
				t.Fatalf("round %d: another order of origins gives another row", round)
			}
		}
	}
}

// TestAlign holds what pins a line and what does not.
func TestAlign(t *testing.T) {
	linesOf := func(texts ...string) []addedLine {
		var all []addedLine
		for i, s := range texts {
			all = append(all, addedLine{git.LineOf([]byte(s)), i + 1})
		}
		return all
	}
	a, b, c := "func firstOfAll(input string, size int, options map[string]string) error {", "func secondOfAll(input string, size int, options map[string]string) error {", "func thirdOfAll(input string, size int, options map[string]string) error {"
	for _, test := range []struct {
		name        string
		ours, their []addedLine
		want        []pair
	}{
		{"a brace follows its line", linesOf(a, "}", b, "}"), linesOf(b, "}"), []pair{{2, 0}, {3, 1}}},
		{"a brace alone is nobody's", linesOf("}", "", "}"), linesOf("}", "", "}"), nil},
		{"a line that is there twice pins nothing", linesOf(a, a), linesOf(a), nil},
		{"order is kept", linesOf(a, b, c), linesOf(c, a, b), []pair{{0, 1}, {1, 2}}},
	} {
		if got := align(test.ours, test.their, anchorHunk, enoughHunk); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
