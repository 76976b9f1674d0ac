package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// pathTable is what a backend's table of paths does.
type pathTable struct {
	ids   map[string]int64
	names []string
}

func (p *pathTable) id(path string) (int64, error) {
	if id, ok := p.ids[path]; ok {
		return id, nil
	}
	if p.ids == nil {
		p.ids = make(map[string]int64)
	}
	p.names = append(p.names, path)
	p.ids[path] = int64(len(p.names))
	return p.ids[path], nil
}

func (p *pathTable) name(id int64) (string, error) {
	if id < 1 || id > int64(len(p.names)) {
		return "", fmt.Errorf("path %d: %w", id, stemma.ErrNotFound)
	}
	return p.names[id-1], nil
}

func TestRowRoundTrip(t *testing.T) {
	for name, a := range attributions() {
		t.Run(name, func(t *testing.T) {
			var paths pathTable
			row, err := store.AppendRow(nil, &a, paths.id)
			if err != nil {
				t.Fatalf("AppendRow: %v", err)
			}
			got, err := store.ParseRow(a.Commit, row, paths.name)
			if err != nil {
				t.Fatalf("ParseRow: %v", err)
			}
			if diff := cmp.Diff(a, got); diff != "" {
				t.Errorf("row came back different (-want +got):\n%s", diff)
			}
			ids, err := store.RowPaths(nil, row)
			if err != nil {
				t.Fatalf("RowPaths: %v", err)
			}
			for i, id := range ids {
				if path, err := paths.name(id); err != nil || path != a.Files[i].Path {
					t.Errorf("RowPaths[%d] = %q, %v, want %q", i, path, err, a.Files[i].Path)
				}
			}
			if len(ids) != len(a.Files) {
				t.Errorf("RowPaths gave %d paths, want %d", len(ids), len(a.Files))
			}
		})
	}
}

func TestRowRoundTripOfRandomAttributions(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var paths pathTable
	for i := range 2000 {
		a := randomAttribution(rnd)
		row, err := store.AppendRow(nil, &a, paths.id)
		if err != nil {
			t.Fatalf("AppendRow of number %d: %v", i, err)
		}
		got, err := store.ParseRow(a.Commit, row, paths.name)
		if err != nil {
			t.Fatalf("ParseRow of number %d: %v", i, err)
		}
		if diff := cmp.Diff(a, got); diff != "" {
			t.Fatalf("number %d came back different (-want +got):\n%s", i, diff)
		}
	}
}

func TestRowOfCommitWithoutLineEvidenceIsSmall(t *testing.T) {
	a := stemma.Attribution{
		Commit: strings.Repeat("ab", 20), Time: 1700000000, Rest: stemma.ClassHuman, RestOwner: -1,
		Algorithm: 1, Input: strings.Repeat("0f", 32), Lines: stemma.Lines{Human: 300},
	}
	var paths pathTable
	for i := range 5000 { // a repository of some size has path ids of two bytes
		if _, err := paths.id(fmt.Sprint("other/", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		a.Files = append(a.Files, stemma.FileLines{Path: fmt.Sprint("src/", i), Added: 30})
	}
	row, err := store.AppendRow(nil, &a, paths.id)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(row), 90; got > want {
		t.Errorf("row has %d bytes, want at most %d", got, want)
	}
}

func TestRowRejects(t *testing.T) {
	whole := attributions()["everything"]
	tests := map[string]func(*stemma.Attribution){
		"negative added":     func(a *stemma.Attribution) { a.Files[0].Added = -1 },
		"negative lines":     func(a *stemma.Attribution) { a.Lines.AI = -1 },
		"class of rest":      func(a *stemma.Attribution) { a.Rest = "robot" },
		"class of owner":     func(a *stemma.Attribution) { a.Owners[0].Class = "robot" },
		"class of range":     func(a *stemma.Attribution) { a.Files[0].Ranges[0].Class = "robot" },
		"owner out of range": func(a *stemma.Attribution) { a.Files[0].Ranges[0].Owner = 9 },
		"rest out of range":  func(a *stemma.Attribution) { a.RestOwner = 9 },
		"confidence":         func(a *stemma.Attribution) { a.Owners[0].Strength.Confidence = 1.5 },
		"too large":          func(a *stemma.Attribution) { a.Unreadable = strings.Repeat("x", store.MaxRow) },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			var paths pathTable
			a := clone(t, whole)
			damage(&a)
			if _, err := store.AppendRow(nil, &a, paths.id); !errors.Is(err, stemma.ErrInvalid) {
				t.Errorf("AppendRow error = %v, want ErrInvalid", err)
			}
		})
	}
}

// Every prefix of a row is no row, and says where it ends.
func TestRowCutShort(t *testing.T) {
	for name, a := range attributions() {
		var paths pathTable
		row, err := store.AppendRow(nil, &a, paths.id)
		if err != nil {
			t.Fatal(err)
		}
		for n := range row {
			_, err := store.ParseRow("c", row[:n], paths.name)
			if !errors.Is(err, stemma.ErrInvalid) || !strings.Contains(err.Error(), "byte ") {
				t.Fatalf("%s: ParseRow of the first %d of %d bytes: error = %v, want ErrInvalid with an offset", name, n, len(row), err)
			}
		}
		if _, err := store.ParseRow("c", append(row[:len(row):len(row)], 0), paths.name); !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("%s: ParseRow with a byte too many: error = %v, want ErrInvalid", name, err)
		}
	}
}

// A flag that nobody writes is damage, not one more thing to pass over.
func TestRowWithFlagsOfNobody(t *testing.T) {
	var paths pathTable
	row, err := store.AppendRow(nil, &stemma.Attribution{Rest: stemma.ClassUnknown, RestOwner: -1}, paths.id)
	if err != nil {
		t.Fatal(err)
	}
	const flags = 2 // after the version and the number of files
	for bit := range 8 {
		changed := slices.Clone(row)
		changed[flags] ^= 1 << bit
		a, err := store.ParseRow("c", changed, paths.name)
		if bit == 0 && (err != nil || !a.Merge) {
			t.Errorf("ParseRow of a merge = %t, %v", a.Merge, err)
		}
		if bit > 0 && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("ParseRow with bit %d of the flags: error = %v, want ErrInvalid", bit, err)
		}
	}
}

func TestRowOfUnknownPath(t *testing.T) {
	a := attributions()["files only"]
	var paths, none pathTable
	row, err := store.AppendRow(nil, &a, paths.id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.ParseRow("c", row, none.name); !errors.Is(err, stemma.ErrNotFound) {
		t.Errorf("ParseRow error = %v, want the error of the path table, ErrNotFound", err)
	}
}

func FuzzParseRow(f *testing.F) {
	for _, a := range attributions() {
		var paths pathTable
		row, err := store.AppendRow(nil, &a, paths.id)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(row)
	}
	f.Add([]byte{})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x7f})
	name := func(id int64) (string, error) { return fmt.Sprint(id), nil }
	id := func(path string) (id int64, err error) {
		_, err = fmt.Sscan(path, &id)
		return id, err
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		a, err := store.ParseRow("c", row, name)
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Fatalf("ParseRow error = %v, want ErrInvalid", err)
			}
			return
		}
		again, err := store.AppendRow(nil, &a, id)
		if err != nil {
			t.Fatalf("AppendRow of what ParseRow gave: %v", err)
		}
		b, err := store.ParseRow("c", again, name)
		if err != nil {
			t.Fatalf("ParseRow of what AppendRow gave: %v", err)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("row came back different (-first +second):\n%s", diff)
		}
	})
}

func clone(t *testing.T, a stemma.Attribution) stemma.Attribution {
	t.Helper()
	var paths pathTable
	row, err := store.AppendRow(nil, &a, paths.id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.ParseRow(a.Commit, row, paths.name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func attributions() map[string]stemma.Attribution {
	declared := stemma.Strength{Tier: stemma.TierClaimed, Assertion: stemma.Declared, Method: "note", Confidence: 1}
	return map[string]stemma.Attribution{
		"empty":      {Commit: "c", RestOwner: -1},
		"unreadable": {Commit: "c", Time: -5, RestOwner: -1, Unreadable: "tree is missing"},
		"files only": {
			Commit: "c", Time: 1 << 40, Rest: stemma.ClassUnknown, RestOwner: -1, Lines: stemma.Lines{Unknown: 3, Generated: 9},
			Files: []stemma.FileLines{
				{Path: "a\nb", Added: 3},
				{Path: "go.sum", Added: 9, Generated: true},
				{Path: "\xff\xfe", Added: 0},
			},
			Algorithm: 3, Input: "not a digest",
		},
		"everything": {
			Commit: "c", Time: 1700000000, Merge: true,
			Lines: stemma.Lines{AI: 1, AIEdited: 2, Human: 3, Generated: 4, Unknown: 5},
			Owners: []stemma.Owner{
				{
					Session: "claude-code/1", Agent: "claude-code", AgentVersion: "2.1",
					Model: stemma.Model{Provider: "anthropic", ID: "claude-opus-4-5", Exact: true, Raw: "Claude-Opus-4-5"},
					Class: stemma.ClassAI, Source: "git-ai", Strength: declared, Lines: 1, Candidate: 2,
				},
				{
					Person: "p", Class: stemma.ClassHuman, Source: "git-ai",
					Strength: stemma.Strength{Tier: stemma.TierObserved, Assertion: stemma.Inferred, Method: "rest", Confidence: 0.25},
				},
			},
			Files: []stemma.FileLines{
				{Path: "a", Added: 5, Ranges: []stemma.OwnedRange{
					{Start: 1, End: 1, Owner: 0, Class: stemma.ClassAI},
					{Start: 2, End: 3, Owner: 0, Class: stemma.ClassAIEdited},
					{Start: 7, End: 9, Owner: -1, Class: stemma.ClassUnknown},
				}},
				{Path: "b", Added: 4, Whole: true, Ranges: []stemma.OwnedRange{{Start: 1, End: 0, Owner: 1, Class: stemma.ClassHuman}}},
			},
			Rest: stemma.ClassHuman, RestOwner: 1,
			Sources: []stemma.SourceClaim{
				{Source: "git-ai", Lines: stemma.Lines{AI: 1}, Outside: 1, Alone: 2, Agree: 3, Differ: 4, Took: 5},
				{Source: "trailers", Problem: "cut short"},
			},
			Conflicts: 3, Ambiguous: 2, Algorithm: 1, Input: strings.Repeat("0f", 32), Unreadable: "half",
		},
	}
}

func randomAttribution(rnd *rand.Rand) stemma.Attribution {
	word := func() string {
		return []string{"", "a", "session", "x\x00y", "é", "\xff", strings.Repeat("k", 300)}[rnd.IntN(7)]
	}
	class := func() stemma.Class { return stemma.Classes[rnd.IntN(len(stemma.Classes))] }
	count := func() int { return rnd.IntN(1 << rnd.IntN(20)) }
	lines := func() stemma.Lines { return stemma.Lines{AI: count(), Human: count(), Unknown: count()} }
	a := stemma.Attribution{
		Commit: fmt.Sprint("commit", rnd.IntN(100)), Time: rnd.Int64() - rnd.Int64(), Merge: rnd.IntN(2) == 0,
		Lines: lines(), Rest: class(), RestOwner: -1, Algorithm: count(), Input: word(), Unreadable: word(), Conflicts: count(), Ambiguous: count(),
	}
	for range rnd.IntN(4) {
		a.Owners = append(a.Owners, stemma.Owner{
			Session: word(), Person: word(), Agent: word(), AgentVersion: word(),
			Model: stemma.Model{Provider: word(), ID: word(), Exact: rnd.IntN(2) == 0, Raw: word()},
			Class: class(), Source: word(),
			Strength: stemma.Strength{Tier: stemma.TierClaimed, Method: word(), Confidence: float64(rnd.IntN(5)) / 4},
			Lines:    count(), Candidate: count(),
		})
		if rnd.IntN(2) == 0 {
			o := &a.Owners[len(a.Owners)-1]
			o.ModelStrength = stemma.Strength{Assertion: stemma.Inferred, Method: word(), Confidence: float64(rnd.IntN(5)) / 4}
		}
		a.RestOwner = rnd.IntN(len(a.Owners)+1) - 1
	}
	for i := range rnd.IntN(20) {
		f := stemma.FileLines{Path: fmt.Sprint(word(), "/", i), Added: count(), Generated: rnd.IntN(4) == 0, Whole: rnd.IntN(4) == 0}
		for end := 0; rnd.IntN(3) > 0; {
			start := end + 1 + count()
			end = start + count()
			f.Ranges = append(f.Ranges, stemma.OwnedRange{Start: start, End: end, Owner: rnd.IntN(len(a.Owners)+1) - 1, Class: class()})
		}
		a.Files = append(a.Files, f)
	}
	for range rnd.IntN(3) {
		a.Sources = append(a.Sources, stemma.SourceClaim{Source: word(), Lines: lines(), Outside: count(), Took: count(), Problem: word()})
	}
	return a
}

func BenchmarkParseRow(b *testing.B) {
	a := attributions()["everything"]
	var paths pathTable
	row, err := store.AppendRow(nil, &a, paths.id)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := store.ParseRow("c", row, paths.name); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(row)), "bytes/row")
}
