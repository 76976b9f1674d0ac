package gitai

import (
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

// What is written is read back by the importer, line for line.
func TestEncodedNoteIsReadBack(t *testing.T) {
	commit := strings.Repeat("ab", 20)
	a := notes.Attributed{Author: "Ada <ada@example.com>", Added: map[string][]notes.Range{"whole file.go": {{Start: 1, End: 3}, {Start: 7, End: 7}}}}
	a.Attribution = stemma.Attribution{
		Commit: commit,
		Owners: []stemma.Owner{
			{Session: "claude-code/s 1", Agent: "claude-code", Model: stemma.ParseModel("claude-opus-4-5-20251101"), Class: stemma.ClassAI},
			{Person: "p", Class: stemma.ClassHuman},
			{Session: "codex/s2", Agent: "codex", Class: stemma.ClassAIEdited},
		},
		Files: []stemma.FileLines{
			{Path: "a.go", Ranges: []stemma.OwnedRange{
				{Start: 1, End: 4, Owner: 0, Class: stemma.ClassAI},
				{Start: 5, End: 5, Owner: 1, Class: stemma.ClassHuman},
				{Start: 6, End: 6, Owner: -1, Class: stemma.ClassUnknown},
				{Start: 7, End: 7, Owner: 0, Class: stemma.ClassAI},
				{Start: 9, End: 9, Owner: 2, Class: stemma.ClassAIEdited},
			}},
			{Path: "whole file.go", Whole: true, Ranges: []stemma.OwnedRange{{Start: 1, End: 0, Owner: 0, Class: stemma.ClassAI}}},
			{Path: "go.sum", Generated: true},
		},
	}
	blob, err := Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	if want := "a.go\n  s_"; !strings.HasPrefix(string(blob), want) {
		t.Errorf("note begins %.40q", blob)
	}
	e, err := Source{}.Decode(commit, blob)
	if err != nil || len(e.Problems) > 0 {
		t.Fatalf("%v, problems %v", err, e.Problems)
	}
	got := make(map[string]string)
	for _, c := range e.Claims {
		who := "a person"
		if c.Session >= 0 {
			s := e.Sessions[c.Session]
			who = s.Agent + "/" + s.ID + " " + s.Model.ID
		}
		for _, r := range c.Ranges {
			for n := r.Start; n <= r.End; n++ {
				got[c.Path+":"+string(rune('0'+n))] = who
			}
		}
	}
	claude := "claude-code/s 1 claude-opus-4-5-20251101"
	want := map[string]string{
		"a.go:1": claude, "a.go:2": claude, "a.go:3": claude, "a.go:4": claude, "a.go:5": "a person", "a.go:7": claude, "a.go:9": "codex/s2 ",
		"whole file.go:1": claude, "whole file.go:2": claude, "whole file.go:3": claude, "whole file.go:7": claude,
	}
	for k, w := range want {
		if got[k] != w {
			t.Errorf("%s is %q, want %q", k, got[k], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("lines %v", got)
	}
	if none, err := Encode(notes.Attributed{Attribution: stemma.Attribution{Commit: commit}}); none != nil || err != nil {
		t.Errorf("an attribution that tells nothing gives %q, %v", none, err)
	}
}
