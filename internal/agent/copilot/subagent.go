package copilot

import (
	"cmp"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// What is remembered of the sessions of a transcript from one entry to the next.
// A sub-agent's events stand between those of the session: newer versions name
// the sub-agent in each (agentId), earlier ones the call that started it
// (data.parentToolCallId).
const (
	rootMemo = "root"   // the session that the transcript is of
	anySub   = "sub"    // set where a sub-agent has events of its own
	agentOf  = "agent " // by agentId: the sub-agent's session
	callOf   = "call "  // by agentId: the call that started it
	subOf    = "sub "   // by call: the sub-agent's session
	ownerOf  = "owner " // by call: the session that made it
	roleOf   = "role "  // by call
)

// worker gives the session that an event belongs to: the transcript's own, or
// that of a sub-agent, which begins with its first event.
func worker(b *agent.Builder, subagent, call string) *agent.Work {
	root := b.Memo(rootMemo)
	if subagent == "" && call == "" {
		return b.Session(root)
	}
	id := ""
	if subagent != "" {
		call = cmp.Or(call, b.Memo(callOf+subagent))
		id = b.Memo(agentOf + subagent)
	}
	if call != "" {
		id = cmp.Or(id, b.Memo(subOf+call))
	}
	if id != "" {
		if subagent != "" {
			b.Note(agentOf+subagent, id)
		}
		return b.Session(id)
	}
	owner := b.Session(cmp.Or(b.Memo(ownerOf+cmp.Or(call, subagent)), root))
	c := owner.Open(call)
	if c == nil && call == "" {
		if c = owner.Open(subagent); c != nil {
			call = subagent
		}
	}
	method := "parentToolCallId"
	if subagent != "" {
		method = "agentId"
	}
	s := *owner.Head()
	id = s.ID + "/agent-" + cmp.Or(call, subagent)
	parent := &agent.Parent{Session: s.ID, Call: call, Role: b.Memo(roleOf + call), Method: method}
	var task *agent.Text
	if c != nil {
		spawn := &agent.Spawn{}
		if c.Spawn != nil {
			*spawn = *c.Spawn
		}
		spawn.Session = cmp.Or(spawn.Session, id)
		id, task = spawn.Session, spawn.Task
		c.Kind, c.Spawn = agent.KindSpawn, spawn
		parent.Role = cmp.Or(parent.Role, spawn.Role)
	}
	b.Note(anySub, "1")
	if subagent != "" {
		b.Note(agentOf+subagent, id)
	}
	if call != "" {
		b.Note(subOf+call, id)
	}
	w := b.Session(id)
	w.Head().Parent, w.Head().Base, w.Head().Version = parent, s.Base, s.Version
	if task != nil {
		w.Begin(agent.Turn{Origin: agent.FromTask, Prompt: task})
	}
	return w
}

// made remembers which sub-agent made a call that starts another one.
func made(b *agent.Builder, w *agent.Work, c *agent.Call) {
	if id := w.Head().ID; c != nil && c.Kind == agent.KindSpawn && id != b.Memo(rootMemo) {
		b.Note(ownerOf+c.ID, id)
	}
}

// spawned links a call with the sub-agent that it started, and tells how that
// ended. What the sub-agent used in all is shown beside its own events.
func spawned(b *agent.Builder, status, subagent, parent string, data agent.Value, when time.Time) {
	call, _ := data.Get("toolCallId").TextUpTo(256)
	owner := b.Session(b.Memo(rootMemo))
	c := owner.Open(call)
	for _, id := range []string{b.Memo(ownerOf + call), b.Memo(agentOf + subagent), b.Memo(subOf + parent)} {
		if c == nil && id != "" {
			owner = b.Session(id)
			c = owner.Open(call)
		}
	}
	owner.Around(when)
	if c == nil {
		return
	}
	spawn := &agent.Spawn{}
	if c.Spawn != nil {
		*spawn = *c.Spawn
	}
	c.Kind, c.Spawn = agent.KindSpawn, spawn
	if name := data.Get("agentName"); name.IsString() {
		spawn.Role, _ = name.TextUpTo(256)
	}
	if id := data.Get("agentSessionId"); id.IsString() {
		spawn.Session = id.Text()
	}
	if n := data.Get("totalTokens").Int(); n > 0 {
		spawn.Tokens = n
	}
	spawn.Status = status
	b.Note(ownerOf+call, owner.Head().ID)
	b.Note(roleOf+call, spawn.Role)
	// Of a sub-agent that a sub-agent started, the event may name either.
	if subagent != "" && b.Memo(agentOf+subagent) == "" {
		b.Note(callOf+subagent, call)
	}
	if id := b.Memo(subOf + call); id != "" {
		b.Session(id).Seen(when)
	}
}
