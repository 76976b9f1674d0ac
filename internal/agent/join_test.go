package agent_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stemma-dev/stemma/internal/agent"
)

// A copy of a transcript that was made earlier, and one that begins later, give
// with the other the whole, in either order.
func TestJoin(t *testing.T) {
	_, r := readFile(t, "claudecode/testdata/session.jsonl")
	whole := r.Sessions[0]
	early, late := whole, whole
	early.Turns = whole.Turns[:1]
	early.End = whole.Turns[0].End
	late.Turns = whole.Turns[1:]
	middle := whole
	half := *whole.Turns[0]
	half.ID, half.Prompt, half.Origin, half.Calls = "", nil, "", half.Calls[2:]
	middle.Turns = append([]*agent.Turn{&half}, whole.Turns[1:]...)
	for name, got := range map[string]agent.Session{
		"early and late":       agent.Join(early, late),
		"late and early":       agent.Join(late, early),
		"whole and early":      agent.Join(whole, early),
		"whole and whole":      agent.Join(whole, whole),
		"whole and the middle": agent.Join(whole, middle),
		"the middle and whole": agent.Join(middle, whole),
	} {
		if diff := cmp.Diff(whole, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-whole +joined):\n%s", name, diff)
		}
	}
}
