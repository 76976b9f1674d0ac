package agent

import (
	"slices"
	"strconv"
)

// Join puts two readings of one session together that came from different
// transcripts: copies of it at different times, or parts of it. A turn or a call
// that both have is one. What is of no turn is that of the reading that ends
// later.
func Join(a, b Session) Session {
	if a.End.After(b.End) {
		a, b = b, a
	}
	s := b
	if s.Start.IsZero() || !a.Start.IsZero() && a.Start.Before(s.Start) {
		s.Start = a.Start
	}
	if s.Parent == nil {
		s.Parent = a.Parent
	}
	if s.Team == nil {
		s.Team = a.Team
	}
	s.Turns = nil
	at := make(map[string]int)
	for _, t := range slices.Concat(a.Turns, b.Turns) {
		key := t.ID
		if key == "" {
			key = "at " + strconv.FormatInt(t.Start.UnixMilli(), 10)
		}
		if i, ok := at[key]; ok {
			s.Turns[i] = joinTurn(s.Turns[i], t)
			continue
		}
		at[key] = len(s.Turns)
		again := *t
		s.Turns = append(s.Turns, &again)
	}
	s.Turns = withoutEchoes(s.Turns)
	slices.SortStableFunc(s.Turns, func(x, y *Turn) int {
		if x.Start.IsZero() || y.Start.IsZero() {
			return 0
		}
		return x.Start.Compare(y.Start)
	})
	for i, t := range s.Turns {
		t.Index = i + 1
	}
	for _, g := range a.Gaps {
		if !slices.ContainsFunc(s.Gaps, func(have Gap) bool { return have.Kind == g.Kind && have.Reason == g.Reason }) {
			s.Gaps = append(slices.Clone(s.Gaps), g)
		}
	}
	for _, c := range a.Compactions {
		if !slices.ContainsFunc(s.Compactions, func(have Compaction) bool { return have.Time.Equal(c.Time) }) {
			s.Compactions = append(slices.Clone(s.Compactions), c)
		}
	}
	s.Messages = joinMessages(a.Messages, b.Messages)
	for _, c := range a.Changes {
		if !slices.Contains(s.Changes, c) {
			s.Changes = append(slices.Clone(s.Changes), c)
		}
	}
	return s
}

// joinMessages gives each message of two readings once. The turns that they
// name are those of the readings.
func joinMessages(a, b []Message) []Message {
	if len(a) == 0 {
		return b
	}
	all := slices.Clone(a)
	for _, m := range b {
		if !slices.ContainsFunc(a, func(have Message) bool {
			return have.Time.Equal(m.Time) && have.Received == m.Received && have.Session == m.Session && have.Name == m.Name && have.Call == m.Call
		}) {
			all = append(all, m)
		}
	}
	slices.SortStableFunc(all, func(x, y Message) int { return x.Time.Compare(y.Time) })
	return all
}

// joinTurn puts two readings of one turn together: one has more of it.
func joinTurn(a, b *Turn) *Turn {
	t, other := *b, a
	if len(a.Calls) > len(b.Calls) || a.End.After(b.End) {
		t, other = *a, b
	}
	have := make(map[string]bool)
	for _, c := range t.Calls {
		have[c.ID] = true
	}
	t.Calls = slices.Clone(t.Calls)
	for _, c := range other.Calls {
		if c.ID != "" && !have[c.ID] {
			t.Calls = append(t.Calls, c)
		}
	}
	if t.Prompt == nil {
		t.Prompt = other.Prompt
	}
	if t.Answer == nil {
		t.Answer = other.Answer
	}
	if t.Origin == "" {
		t.Origin = other.Origin
	}
	return &t
}

// withoutEchoes drops turns that begin in the middle, because their transcript
// does, where other readings have all of their calls.
func withoutEchoes(turns []*Turn) []*Turn {
	known := make(map[string]bool)
	for _, t := range turns {
		if t.ID != "" {
			for _, c := range t.Calls {
				known[c.ID] = true
			}
		}
	}
	return slices.DeleteFunc(turns, func(t *Turn) bool {
		return t.ID == "" && t.Prompt == nil && len(t.Calls) > 0 &&
			!slices.ContainsFunc(t.Calls, func(c *Call) bool { return c.ID == "" || !known[c.ID] })
	})
}
