package trailers

import (
	"slices"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
)

func TestEncodedTrailersAreReadBack(t *testing.T) {
	model := stemma.ParseModel("claude-opus-4-5-20251101")
	a := stemma.Attribution{Owners: []stemma.Owner{
		{Session: "claude-code/1", Agent: "claude-code", Model: model, Lines: 3},
		{Session: "claude-code/2", Agent: "claude-code", Model: model, Candidate: 1},
		{Session: "codex/3", Agent: "codex", Lines: 1},
		{Session: "cursor/4", Agent: "cursor"},
		{Person: "p", Lines: 9},
	}}
	got := Encode(a)
	if want := []string{"Assisted-by: claude-code:claude-opus-4-5-20251101", "Assisted-by: codex"}; !slices.Equal(got, want) {
		t.Fatalf("Encode = %q, want %q", got, want)
	}
	message := "subject\n\nbody\n\n" + got[0] + "\n" + got[1] + "\n"
	e, ok := Source{}.Read(&git.Commit{ID: "c", Message: []byte(message)})
	if !ok || len(e.Sessions) != 2 {
		t.Fatalf("read back %+v, %v", e, ok)
	}
	if e.Sessions[0].Agent != "claude-code" || e.Sessions[0].Model.ID != model.ID || e.Sessions[1].Agent != "codex" {
		t.Errorf("sessions %+v", e.Sessions)
	}
}
