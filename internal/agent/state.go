package agent

import (
	"time"

	"github.com/stemma-dev/stemma"
)

// State is how far a transcript was read, and what is needed to go on. It can be
// kept as JSON. The zero State is that of a transcript of which nothing was
// read. What is in it is for this package alone; a State that was tampered with
// gives other sessions, never a crash.
type State struct {
	Agent  string `json:"agent,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	// Blocks are digests of what was read, one for each mebibyte and one for the
	// rest: a transcript that was rewritten in place is not gone on with.
	Blocks   []string          `json:"blocks,omitempty"`
	Readings int               `json:"readings,omitempty"` // how many there were
	Works    []carried         `json:"sessions,omitempty"`
	Memo     map[string]string `json:"memo,omitempty"`
	Loose    []Gap             `json:"loose,omitempty"`
	Last     int               `json:"last,omitempty"` // index into Works, from 1
}

// carried is what later readings need to know of a session.
type carried struct {
	ID      string            `json:"id"`
	Version string            `json:"version,omitempty"`
	Title   string            `json:"title,omitempty"`
	Parent  *Parent           `json:"parent,omitempty"`
	Base    Base              `json:"base,omitzero"`
	Team    *Team             `json:"team,omitempty"`
	Start   time.Time         `json:"start,omitzero"`
	End     time.Time         `json:"end,omitzero"`
	Index   int               `json:"index,omitempty"`
	Open    []*openCall       `json:"open,omitempty"`
	Using   []*using          `json:"using,omitempty"`
	Done    []string          `json:"done,omitempty"`
	Memo    map[string]string `json:"memo,omitempty"`
	Mode    string            `json:"mode,omitempty"`
	Effort  string            `json:"effort,omitempty"`
	Model   stemma.Model      `json:"model,omitzero"`
}

// NewBuilder gives a builder that goes on where a state ends, for decoders whose
// entries stand in no transcript; [Builder.Reading] ends it.
func NewBuilder(agent string, from State) *Builder { return from.resume(agent) }

// Reading gives what came since the state that the builder began with.
func (b *Builder) Reading() Reading { return Reading{Sessions: b.sessions(), State: b.state()} }

// Turns is how many turns of a session were read so far.
func (s State) Turns(session string) int {
	for _, c := range s.Works {
		if c.ID == session {
			return c.Index
		}
	}
	return 0
}

// resume gives the builder that goes on where the state ends.
func (s State) resume(agent string) *Builder {
	b := newBuilder(agent)
	for k, v := range s.Memo {
		note(b.memo, k, v)
	}
	for _, c := range s.Works {
		w := b.Session(c.ID)
		w.s.Version, w.s.Title, w.s.Parent, w.s.Base = c.Version, c.Title, c.Parent, c.Base
		w.s.Start, w.s.End, w.s.Team = c.Start, c.End, c.Team
		w.index = max(0, c.Index)
		w.mode, w.power, w.model = c.Mode, c.Effort, c.Model
		for _, o := range c.Open {
			if o != nil && o.Call != nil && len(w.open) < maxOpen {
				w.open = append(w.open, &openCall{Turn: o.Turn, Call: o.Call})
			}
		}
		for _, u := range c.Using {
			if u != nil && len(w.using) < maxUsing {
				again := *u
				w.using = append(w.using, &again)
			}
		}
		w.done = append(w.done, c.Done[:min(len(c.Done), maxDone)]...)
		for k, v := range c.Memo {
			note(w.memo, k, v)
		}
	}
	b.last = nil
	if s.Last > 0 && s.Last <= len(b.works) {
		b.last = b.works[s.Last-1]
	}
	for _, g := range s.Loose {
		b.loose = addGap(b.loose, g)
	}
	for _, w := range b.works {
		w.touched = false
	}
	return b
}

// sessions gives what the builder put together in this reading.
func (b *Builder) sessions() []Session {
	var all []Session
	for _, w := range b.works {
		if w.touched {
			all = append(all, w.s)
		}
	}
	return all
}

// state gives what a later reading needs.
func (b *Builder) state() State {
	s := State{Agent: b.agent, Memo: b.memo, Loose: b.loose}
	for i, w := range b.works {
		if w == b.last {
			s.Last = i + 1
		}
		c := carried{
			ID: w.s.ID, Version: w.s.Version, Title: w.s.Title, Parent: w.s.Parent, Base: w.s.Base, Team: w.s.Team,
			Start: w.s.Start, End: w.s.End, Index: w.index,
			Open: w.open, Using: w.using, Done: w.done, Memo: w.memo, Mode: w.mode, Effort: w.power, Model: w.model,
		}
		s.Works = append(s.Works, c)
	}
	return s
}
