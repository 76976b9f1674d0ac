package gitai

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/notes"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte("src/main.rs\n  s_c9883b05a2487d::t_9f8e7d6c5b4a32 1-10,15\n  h_31dce776f88375 5-25\n---\n" + head + prompts + "," + humans + "," + sessions + "}"))
	f.Add([]byte("\"a\nb\"\n  human 1,2-1,0\n  ai_agent 99999999999\n"))
	f.Add([]byte(`{"files":{"a":{"authors":[{"author":"Claude","lines":[1,[2,3]],"agent_metadata":{"model":"o3"}}]}}}`))
	f.Add([]byte("---\n{\"sessions\":{\"\\ud800\":{\"agent_id\":{\"id\":\"\\\\\"}}}}"))
	f.Add(embedded(2))
	f.Fuzz(func(t *testing.T, note []byte) {
		got, err := Source{}.Decode("", note)
		if err != nil {
			if !errors.Is(err, stemma.ErrInvalid) {
				t.Errorf("error %v is not ErrInvalid", err)
			}
			return
		}
		checkEvidence(t, got)
		prompts, err := Source{}.Prompts(note)
		if err != nil && !errors.Is(err, stemma.ErrInvalid) {
			t.Errorf("error %v of %d prompts is not ErrInvalid", err, len(prompts))
		}
	})
}

// checkEvidence holds what every note's evidence must fulfil, however hostile
// the note.
func checkEvidence(t *testing.T, e notes.Evidence) {
	t.Helper()
	claimed := make(map[int]bool)
	lines := make(map[string][]notes.Range)
	for _, c := range e.Claims {
		if c.Session < -1 || c.Session >= len(e.Sessions) || !c.Class.Valid() || len(c.Ranges) == 0 || c.Strength.Tier != stemma.TierClaimed {
			t.Errorf("claim %+v", c)
		}
		claimed[c.Session] = true
		for i, r := range c.Ranges {
			if r.Start < 1 || r.End < r.Start || r.End > maxLine || i > 0 && r.Start <= c.Ranges[i-1].End+1 {
				t.Errorf("ranges of %q: %v", c.Path, c.Ranges)
			}
			for _, other := range lines[c.Path] {
				if r.Start <= other.End && other.Start <= r.End {
					t.Errorf("%q: %v overlaps %v", c.Path, r, other)
				}
			}
		}
		lines[c.Path] = append(lines[c.Path], c.Ranges...)
	}
	for _, i := range e.Took {
		if claimed[i] || i < 0 || i >= len(e.Sessions) {
			t.Errorf("session %d took part, and claims lines", i)
		}
		claimed[i] = true
	}
	for i := range e.Sessions {
		if !claimed[i] {
			t.Errorf("session %d is lost", i)
		}
	}
	checkBounds(t, e)
}

func checkBounds(t *testing.T, e notes.Evidence) {
	t.Helper()
	if e.Whole != -1 || len(e.Problems) > maxProblems+1 || len(e.Sessions) > maxSessions {
		t.Errorf("whole %d, %d problems, %d sessions", e.Whole, len(e.Problems), len(e.Sessions))
	}
}

// FuzzFlatten compares the sweep with painting the lines one by one.
func FuzzFlatten(f *testing.F) {
	f.Add([]byte{1, 20, 5, 8, 7, 7, 19, 31})
	f.Add([]byte{1, 1, 1, 1, 2, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		var spans []span
		want := make(map[int]int)
		for i := 0; i+1 < len(b); i += 2 {
			s := span{start: int(b[i]) + 1, end: int(b[i]) + 1 + int(b[i+1])%32, entry: i / 4, owner: i / 4}
			spans = append(spans, s)
			for line := s.start; line <= s.end; line++ {
				want[line] = s.entry
			}
		}
		got := make(map[int]int)
		last := 0
		for _, s := range flatten(spans) {
			if s.start <= last || s.end < s.start {
				t.Fatalf("%+v comes after line %d", s, last)
			}
			last = s.end
			for line := s.start; line <= s.end; line++ {
				got[line] = s.entry
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("entry by line (-want +got):\n%s", diff)
		}
	})
}
