package sqlite_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/store"
)

// A row that stands in the wrong place of its tree is not found by its key: the
// check names it, and dropping the graph leaves nothing of it. It once was there
// again after a rebuild.
func TestRowInTheWrongPlaceIsDropped(t *testing.T) {
	dir := filled(t, 3)
	path := filepath.Join(dir, "graph.db")
	change(t, path, "PRAGMA journal_mode = delete")
	s := mustOpen(t, dir, "acme")
	if err := s.Check(t.Context()); err != nil {
		t.Fatalf("Check of what is whole: %v", err)
	}
	var key string
	for tally, err := range s.Tallies(t.Context(), store.TallyQuery{Kind: stemma.KindCommit, Limit: 7}) {
		if err != nil {
			t.Fatal(err)
		}
		key = tally.Node.Key
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(content, []byte(key)) < 2 {
		t.Fatalf("%s is not in the file", key)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(content, []byte(key), append([]byte{'~'}, key[1:]...)), 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, dir, "acme")
	defer s.Close()
	if err := s.Check(t.Context()); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("Check = %v, want ErrInvalid", err)
	}
	if err := s.DropGraph(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check of what is dropped: %v", err)
	}
	for tally, err := range s.Tallies(t.Context(), store.TallyQuery{Kind: stemma.KindCommit}) {
		t.Errorf("%v is left, %v", tally.Node, err)
	}
}

// A number that no edge can have is damage, and no answer.
func TestConfidenceThatIsNone(t *testing.T) {
	for _, value := range []string{"9e999", "-1", "1.5"} {
		dir := filled(t, 1)
		change(t, filepath.Join(dir, "graph.db"), "UPDATE edge SET confidence = "+value)
		s := mustOpen(t, dir, "acme")
		var got error
		for _, err := range s.Edges(t.Context(), store.EdgeQuery{}) {
			if err != nil {
				got = err
			}
		}
		if !errors.Is(got, stemma.ErrInvalid) {
			t.Errorf("Edges with a confidence of %s = %v, want ErrInvalid", value, got)
		}
		s.Close()
	}
}
