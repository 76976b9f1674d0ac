package whogitit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte(pretty))
	f.Add([]byte(note(lines("a", "3 AI", "1 AIModified 0.5", "2 Human 0.9", "2 AI", "9 Original"), lines("b", "1 Robot"))))
	f.Add([]byte(`{"files":[{"lines":[{"line_number":4294967296,"source":{"type":"AI"},"confidence":1e999},{}],"path":"\ud800"},{"path":"a"}],"version":256}`))
	f.Add([]byte(`{"session":{"session_id":"unknown","model":{"id":"unknown"}},"prompts":[{"text":"\\\""},[[]]]}{}`))
	f.Fuzz(func(t *testing.T, note []byte) {
		got, err := Source{}.Decode("", note)
		if err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("error %v is not ErrInvalid", err)
		}
		checkEvidence(t, got)
		prompts, perr := Source{}.Prompts(note)
		if perr != nil && !errors.Is(perr, stemma.ErrInvalid) {
			t.Errorf("error %v of %d prompts is not ErrInvalid", perr, len(prompts))
		}

		// White space says nothing.
		var spaced bytes.Buffer
		if json.Indent(&spaced, note, " ", "\t") != nil {
			return
		}
		again, aerr := Source{}.Decode("", spaced.Bytes())
		if (err == nil) != (aerr == nil) || len(again.Problems) != len(got.Problems) {
			t.Errorf("indented: error %v, problems %q; before: %v, %q", aerr, again.Problems, err, got.Problems)
		}
		again.Problems = got.Problems // their offsets differ
		if diff := gocmp.Diff(got, again); diff != "" {
			t.Errorf("evidence (-as it was +indented):\n%s", diff)
		}
	})
}

// checkEvidence holds what every note's evidence must fulfil, however hostile
// the note.
func checkEvidence(t *testing.T, e notes.Evidence) {
	t.Helper()
	if e.Source == "" {
		return // the note could not be read
	}
	owned := false
	byPath := make(map[string][]notes.Range)
	for _, c := range e.Claims {
		s := c.Strength
		if c.Path == "" || len(c.Ranges) == 0 || c.Person != "" || s.Tier != stemma.TierClaimed || s.Assertion != stemma.Declared || s.Method == "" || s.Confidence <= 0 || s.Confidence > 1 {
			t.Errorf("claim %+v", c)
		}
		switch {
		case c.Class == stemma.ClassHuman && c.Session == -1:
		case (c.Class == stemma.ClassAI || c.Class == stemma.ClassAIEdited) && c.Session == 0 && len(e.Sessions) == 1:
			owned = true
		default:
			t.Errorf("claim of class %q, session %d of %d", c.Class, c.Session, len(e.Sessions))
		}
		for i, r := range c.Ranges {
			if r.Start < 1 || r.End < r.Start || r.End > maxLine || i > 0 && r.Start <= c.Ranges[i-1].End+1 {
				t.Errorf("ranges of %q: %v", c.Path, c.Ranges)
			}
		}
		byPath[c.Path] = append(byPath[c.Path], c.Ranges...)
	}
	for path, all := range byPath {
		slices.SortFunc(all, func(a, b notes.Range) int { return cmp.Compare(a.Start, b.Start) })
		for i := 1; i < len(all); i++ {
			if all[i].Start <= all[i-1].End {
				t.Errorf("%q: %v overlaps %v", path, all[i], all[i-1])
			}
		}
	}
	switch {
	case len(e.Sessions) == 0 && len(e.Took) == 0:
	case len(e.Sessions) == 1 && owned && len(e.Took) == 0:
	case len(e.Sessions) == 1 && !owned && slices.Equal(e.Took, []int{0}):
	default:
		t.Errorf("%d sessions, took part %v, lines owned %v", len(e.Sessions), e.Took, owned)
	}
	if e.Whole != -1 || len(e.Problems) > maxProblems+1 {
		t.Errorf("whole %d, %d problems", e.Whole, len(e.Problems))
	}
}
