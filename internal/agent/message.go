package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Team is the team of sessions that a session is one of, as its transcript says.
type Team struct {
	Name   string `json:"name"`
	Member string `json:"member,omitempty"` // what the session is called there; "" is who leads it
}

// Message is what one session said to another while both were at work. It hands
// no task over and makes nobody the parent of anybody: see [Spawn].
type Message struct {
	Turn int       `json:"turn"` // in which it was sent or received
	Time time.Time `json:"time,omitzero"`
	// Received says that the other session sent it.
	Received bool `json:"received,omitempty"`
	// Session is the agent's own id of the other session, "" where only its name in
	// the team is told.
	Session string `json:"session,omitempty"`
	Name    string `json:"name,omitempty"`
	// Kind is the tool's word for what is no text: "idle_notification", ...
	Kind string `json:"kind,omitempty"`
	Call string `json:"call,omitempty"` // id of the call that sent it
	Text *Text  `json:"text,omitempty"`
}

// maxMessages is how many messages one reading keeps of a session.
const maxMessages = 10_000

// Message notes a message that the session sent or received in its current turn.
func (w *Work) Message(m Message) {
	if len(w.s.Messages) >= maxMessages {
		w.Gap(GapTooLarge, "more messages than are kept", Span{})
		return
	}
	m.Turn = w.index
	m.Session, m.Name = clean(m.Session, MaxShort), clean(m.Name, 256)
	m.Kind, m.Call = clean(m.Kind, 64), clean(m.Call, MaxShort)
	w.s.Messages = append(w.s.Messages, m)
}

// delivered gives the messages but for those whose call failed.
func (s *Session) delivered() []Message {
	if len(s.Messages) == 0 {
		return nil
	}
	failed := make(map[string]bool)
	for _, t := range s.Turns {
		for _, c := range t.Calls {
			if c.ID != "" && (c.Outcome == OutcomeError || c.Outcome == OutcomeNone) {
				failed[c.ID] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(s.Messages), func(m Message) bool { return m.Call != "" && failed[m.Call] })
}

// Exchange is what one session said to another.
type Exchange struct {
	From, To string // keys of nodes; of a session that is not known "team/member" behind the agent
	// Messages are in order of time, as the sender tells them or, where its
	// transcript is not there, the receiver.
	Messages []Message
}

// leader is what the session that leads a team is called in it.
const leader = "team-lead"

// Exchanges gives what sessions said to one another, by sender and receiver. A
// name is resolved to the session of that name in the same team; where several
// had it, to the one that was at work at the time. A message that both sides tell
// is one.
func Exchanges(sessions []Session) []Exchange {
	members := make(map[string][]*Session)
	known := make(map[string]*Session)
	for i := range sessions {
		s := &sessions[i]
		known[s.Key()] = s
		if s.Team != nil {
			key := s.Agent + "/" + s.Team.Name + "/" + cmp.Or(s.Team.Member, leader)
			members[key] = append(members[key], s)
		}
	}
	peer := func(s *Session, m Message) string {
		if m.Session != "" {
			return s.Agent + "/" + m.Session
		}
		team := ""
		if s.Team != nil {
			team = s.Team.Name
		}
		name := s.Agent + "/" + team + "/" + m.Name
		all := members[name]
		if len(all) > 1 {
			all = slices.DeleteFunc(slices.Clone(all), func(o *Session) bool {
				return m.Time.IsZero() || m.Time.Before(o.Start) || m.Time.After(o.End)
			})
		}
		if len(all) == 1 {
			return all[0].Key()
		}
		return name
	}
	at := make(map[[2]string]*Exchange)
	var order []*Exchange
	put := func(from, to string, m Message) {
		e := at[[2]string{from, to}]
		if e == nil {
			e = &Exchange{From: from, To: to}
			at[[2]string{from, to}] = e
			order = append(order, e)
		}
		e.Messages = append(e.Messages, m)
	}
	for i := range sessions {
		for _, m := range sessions[i].delivered() {
			if !m.Received {
				put(sessions[i].Key(), peer(&sessions[i], m), m)
			}
		}
	}
	sent := make(map[[2]string]bool)
	for key := range at {
		sent[key] = true
	}
	for i := range sessions {
		for _, m := range sessions[i].delivered() {
			if !m.Received {
				continue
			}
			from, to := peer(&sessions[i], m), sessions[i].Key()
			// What the sender told to this session, or to everybody, is told already.
			if !sent[[2]string{from, to}] && (known[from] == nil || !sent[[2]string{from, sessions[i].everybody()}]) {
				put(from, to, m)
			}
		}
	}
	all := make([]Exchange, 0, len(order))
	for _, e := range order {
		slices.SortStableFunc(e.Messages, func(a, b Message) int { return a.Time.Compare(b.Time) })
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b Exchange) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return all
}

// Peers gives the sessions that exchanged messages with some, sorted.
func Peers(exchanges []Exchange, some map[string]bool) []string {
	var peers []string
	for _, e := range exchanges {
		if some[e.From] && !some[e.To] {
			peers = append(peers, e.To)
		}
		if some[e.To] && !some[e.From] {
			peers = append(peers, e.From)
		}
	}
	slices.Sort(peers)
	return slices.Compact(peers)
}

// everybody is the key that a message to all of a team has.
func (s *Session) everybody() string {
	if s.Team == nil {
		return ""
	}
	return s.Agent + "/" + s.Team.Name + "/*"
}
