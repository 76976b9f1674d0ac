package agent

import "slices"

// Fold adds what a reading gave to what was known before, and gives the whole.
// Folding the readings of a growing transcript in their order gives the same as
// reading it once.
func Fold(known []Session, r Reading) []Session {
	if r.Replaced {
		known = nil
	}
	all := slices.Clone(known)
	for _, more := range r.Sessions {
		i := slices.IndexFunc(all, func(s Session) bool { return s.Agent == more.Agent && s.ID == more.ID })
		switch {
		case i < 0:
			all = append(all, more)
			continue
		case more.Whole:
			all[i] = more
			continue
		}
		all[i] = foldSession(all[i], more)
	}
	return all
}

func foldSession(s, more Session) Session {
	// What is carried over in the state is in every reading, the newest last.
	turns, compactions, messages, gaps, changes, total := s.Turns, s.Compactions, s.Messages, s.Gaps, s.Changes, s.Total
	s = more
	if s.Total == nil {
		s.Total = total
	}
	s.Turns = slices.Clone(turns)
	for _, t := range more.Turns {
		i, ok := slices.BinarySearchFunc(s.Turns, t.Index, func(t *Turn, index int) int { return t.Index - index })
		if ok {
			s.Turns[i] = foldTurn(*s.Turns[i], t)
		} else {
			s.Turns = slices.Insert(s.Turns, i, t)
		}
	}
	s.Compactions = append(slices.Clone(compactions), more.Compactions...)
	s.Messages = append(slices.Clone(messages), more.Messages...)
	s.Gaps = slices.Clone(gaps)
	for _, g := range more.Gaps {
		s.Gaps = addGap(s.Gaps, g)
	}
	s.Changes = slices.Clone(changes)
	for _, c := range more.Changes {
		if !slices.Contains(s.Changes, c) {
			s.Changes = append(s.Changes, c)
		}
	}
	return s
}

func foldTurn(t Turn, more *Turn) *Turn {
	if t.ID == "" {
		t.ID = more.ID
	}
	if t.Origin == "" {
		t.Origin = more.Origin
	}
	if t.Start.IsZero() {
		t.Start = more.Start
	}
	if more.End.After(t.End) {
		t.End = more.End
	}
	if t.Prompt == nil {
		t.Prompt = more.Prompt
	}
	if more.Answer != nil {
		t.Answer = more.Answer
	}
	if t.At == (Span{}) {
		t.At = more.At
	}
	if more.Effort != "" {
		t.Effort = more.Effort
	}
	if more.Mode != "" {
		t.Mode = more.Mode
	}
	t.Images += more.Images
	t.Thinking += more.Thinking
	t.Errors += more.Errors
	t.Interrupted = t.Interrupted || more.Interrupted
	t.Models = slices.Clone(t.Models)
	for _, m := range more.Models {
		entry := modelUse(&t, m.Model)
		entry.Usage = entry.Usage.Add(m.Usage)
	}
	t.Calls = slices.Clone(t.Calls)
	for _, c := range more.Calls {
		i := -1
		if c.Again {
			for j, old := range t.Calls {
				if old.ID == c.ID {
					i = j
				}
			}
		}
		if i < 0 {
			t.Calls = append(t.Calls, c)
			continue
		}
		again := *c // it is whole, but for what never leaves memory
		again.Again = false
		if again.Edits == nil {
			again.Edits = t.Calls[i].Edits
		}
		t.Calls[i] = &again
	}
	return &t
}
