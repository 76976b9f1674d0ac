package project

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma/internal/agent"
)

// A session's scope has keys, so that the sessions which a question names are
// found without reading any other.

// TaskTypeKey is the key of sessions whose derived task is of a type.
func TaskTypeKey(kind string) string { return "session task type " + kind }

// ToolKey is the key of sessions that called a tool of this name, or one that
// does what this kind of call does ("run", "edit"), whatever the case of its
// letters.
func ToolKey(name string) string { return "session tool " + strings.ToLower(name) }

// ConfigFileKey is the key of sessions that a file of this path, or of this name
// in whatever folder, configured.
func ConfigFileKey(file string) string { return "session config " + strings.ToLower(file) }

// RelatedKey is the key of sessions that took up what this one had said or done.
func RelatedKey(session string) string { return "session related " + session }

// TeamKey is the key of sessions that belong to a team, or brought another one
// into it.
func TeamKey(agent, team string) string { return "session team " + agent + "/" + team }

// FirstTurnKey is the key of sessions whose first turn has this id: one that was
// forked from another, or resumed it, begins with that one's.
func FirstTurnKey(agent, turn string) string { return "session first turn " + agent + "/" + turn }

// TogetherKeys are the keys of a session by which others have to do with it that
// no edge joins.
func TogetherKeys(s *agent.Session) []string {
	var keys []string
	if s.Team != nil {
		keys = append(keys, TeamKey(s.Agent, s.Team.Name))
	}
	for i, turn := range s.Turns {
		if i == 0 && len(turn.ID) >= agent.GlobalID {
			keys = append(keys, FirstTurnKey(s.Agent, turn.ID))
		}
		for _, c := range turn.Calls {
			if c.Spawn != nil && c.Spawn.Team != "" {
				keys = append(keys, TeamKey(s.Agent, c.Spawn.Team))
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Count names what is counted of a session.
type Count string

// What is counted.
const (
	Prompts  Count = "prompts"  // of people
	Rewrites Count = "rewrites" // see agent.Rewrite
)

// maxStep is the power of two from which a count has no further keys.
const maxStep = 16

// CountKeys are the keys that tell sessions by a count: keys[0] is that of all
// sessions of which something is told, keys[i] that of those with at least
// 2^(i-1). A session has the keys of all steps up to its count.
func CountKeys(c Count) []string {
	keys := []string{"session " + string(c) + " 0"}
	for i := range maxStep {
		keys = append(keys, "session "+string(c)+" "+strconv.Itoa(1<<i))
	}
	return keys
}

// MostOf is the most that the count of a session can be whose highest key is
// keys[i] of [CountKeys]; false where there is no bound.
func MostOf(i int) (most int, ok bool) { return 1<<i - 1, i < maxStep }

// sessionKeys are the keys of a session's scope, sorted.
func sessionKeys(t agent.Tale) []string {
	var keys []string
	if t.Derived != nil && t.Derived.Task.Type != "" {
		keys = append(keys, TaskTypeKey(t.Derived.Task.Type))
	}
	for _, tools := range t.Tools {
		for name := range tools {
			keys = append(keys, ToolKey(name))
		}
	}
	prompts, rewrites := 0, 0
	for _, turn := range t.Session.Turns {
		if turn.Origin == agent.FromPerson {
			prompts++
		}
		for _, c := range turn.Calls {
			keys = append(keys, ToolKey(string(c.Kind)))
		}
	}
	for _, r := range t.Rewrites {
		rewrites += len(r.Told)
	}
	for _, r := range t.Related {
		keys = append(keys, RelatedKey(r.Session))
	}
	for _, c := range t.Config {
		keys = append(keys, ConfigFileKey(c.Path), ConfigFileKey(path.Base(c.Path)))
	}
	keys = append(keys, TogetherKeys(&t.Session)...)
	keys = append(keys, countKeys(Prompts, prompts)...)
	keys = append(keys, countKeys(Rewrites, rewrites)...)
	slices.Sort(keys)
	return slices.Compact(keys)
}

func countKeys(c Count, n int) []string {
	all := CountKeys(c)
	i := 1
	for i < len(all) && n >= 1<<(i-1) {
		i++
	}
	return all[:i]
}
