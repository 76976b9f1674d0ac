package project_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/project"
)

func told(t *testing.T, s agent.Session, told agent.Told) []stemma.Statement {
	t.Helper()
	all, err := agent.Statements(s, told)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever the order of the statements, the facts are the same.
func TestSessionsInAnyOrder(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	model := stemma.ParseModel("claude-opus-4-6")
	turn := func(i int, calls ...*agent.Call) *agent.Turn {
		return &agent.Turn{Index: i, Models: []agent.ModelUse{{Model: model}}, Calls: calls, Prompt: &agent.Text{Text: "do SHOP-42", Size: 10}}
	}
	parent := agent.Session{Agent: "claude-code", ID: "p", Start: at}
	first, second := parent, parent
	first.Turns = []*agent.Turn{turn(1, &agent.Call{ID: "c1", Kind: agent.KindSpawn, Spawn: &agent.Spawn{Session: "p/agent-1", Role: "worker"}})}
	second.Turns = []*agent.Turn{turn(2)}
	child := agent.Session{Agent: "claude-code", ID: "p/agent-1", Parent: &agent.Parent{Session: "p", Method: "sub-agent file"}, Turns: []*agent.Turn{turn(1)}}
	var all []stemma.Statement
	all = append(all, told(t, first, agent.Told{First: 1})...)
	all = append(all, told(t, second, agent.Told{First: 2, Final: true, Commits: []agent.Match{{Commit: strings.Repeat("ab", 20), Lines: 4, Of: 5, Confidence: 0.8}}})...)
	all = append(all, told(t, child, agent.Told{})...)
	all = append(all, stemma.Statement{PredicateType: stemma.RefObservationType})

	var want string
	for try := range 20 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		var s project.Sessions
		for _, st := range append(all, all[0]) {
			if err := s.Fold(st); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		for _, tale := range s.Tales() {
			scope := project.Session(tale)
			for _, e := range scope.Edges {
				got += fmt.Sprintf("%s: %s %s %s (%s, %s)\n", scope.ID, e.From, e.Kind, e.To, e.Strength.Assertion, e.Strength.Method)
			}
		}
		for _, tale := range s.Tales() {
			got += strings.Join(project.Session(tale).Keys, "\n") + "\n"
		}
		if try == 0 {
			want = got
		} else if got != want {
			t.Fatalf("in another order (-first +now):\n%s", cmp.Diff(want, got))
		}
	}
	for _, line := range []string{
		"session:claude-code/p USED model:anthropic/claude-opus-4-6 (declared, transcript)",
		"task:claude-code/p/c1 PLANNED_BY session:claude-code/p",
		"session:claude-code/p/agent-1 WORKED_ON task:claude-code/p/c1",
		"session:claude-code/p/agent-1 SPAWNED_BY session:claude-code/p (declared, sub-agent file)",
		"session:claude-code/p WORKED_ON ticket:named/SHOP-42 (inferred, named in a prompt)",
		"commit:" + strings.Repeat("ab", 20) + " WRITTEN_BY session:claude-code/p (inferred, content and time of a transcript)",
	} {
		if !strings.Contains(want, line) {
			t.Errorf("no edge %s in\n%s", line, want)
		}
	}
}
