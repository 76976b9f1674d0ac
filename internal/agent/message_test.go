package agent

import (
	"testing"
	"time"
)

// A name is that of the session which had it at the time, a message that both
// sides tell is one, and what failed to be sent was not said.
func TestExchanges(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 4, 2, 9, minute, 0, 0, time.UTC) }
	core := func(member string) *Team { return &Team{"core", member} }
	sessions := []Session{
		{
			Agent: "claude-code", ID: "lead", Team: core(""), Start: at(0), End: at(50),
			Turns: []*Turn{{Index: 1, Calls: []*Call{
				{ID: "c1", Outcome: OutcomeError},
				{ID: "spawn", Kind: KindSpawn, Start: at(20), Spawn: &Spawn{Team: "core", Member: "rev"}},
			}}},
			Messages: []Message{
				{Time: at(2), Name: "rev", Text: &Text{Size: 5}},
				{Time: at(3), Name: "rev", Call: "c1"},
				{Time: at(31), Name: "rev"},
				{Time: at(32), Name: "gone"},
				{Time: at(5), Received: true, Name: "rev"},
			},
		},
		{Agent: "claude-code", ID: "first", Team: core("rev"), Start: at(1), End: at(10), Messages: []Message{
			{Time: at(2), Received: true, Name: "team-lead"}, {Time: at(5), Name: "team-lead"},
		}},
		{Agent: "claude-code", ID: "second", Team: core("rev"), Start: at(30), End: at(40)},
		{Agent: "claude-code", ID: "elsewhere", Team: &Team{"other", "rev"}, Start: at(0), End: at(50)},
		{Agent: "codex", ID: "a", Messages: []Message{{Time: at(1), Session: "b"}}},
	}
	got := make(map[string]int)
	for _, e := range Exchanges(sessions) {
		got[e.From+" -> "+e.To] = len(e.Messages)
	}
	want := map[string]int{
		"claude-code/lead -> claude-code/first":     1,
		"claude-code/lead -> claude-code/second":    1,
		"claude-code/lead -> claude-code/core/gone": 1,
		"claude-code/first -> claude-code/lead":     1,
		"codex/a -> codex/b":                        1,
	}
	for key, n := range want {
		if got[key] != n {
			t.Errorf("%s: %d messages, want %d", key, got[key], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("exchanges %v, want %v", got, want)
	}
	// The call made the second session of that name, and messages made none.
	for _, root := range Forest(sessions) {
		root.Each(func(n *Node) {
			if (n.Key == "claude-code/second") != (n.Parent != nil) {
				t.Errorf("%s has the parent %v", n.Key, n.Parent)
			}
		})
	}
}
