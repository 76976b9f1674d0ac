// Package storage answers what a message of OpenCode says, and its parts: JSON
// that its database has in rows and its earlier versions had in files. [Message]
// reads one, [ReadFolder] the files. It knows no database, so that a fuzzer
// that tries it need not try one.
package storage

import (
	"bytes"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "opencode"

// Row is a message or a part of one: its id, and its JSON.
type Row struct {
	ID   string
	Data agent.Value
}

// Message reads one message with its parts.
func Message(b *agent.Builder, w *agent.Work, m Row, parts []Row) {
	role, _ := m.Data.Get("role").TextUpTo(64)
	created := m.Data.Get("time", "created").Time()
	w.Around(created)
	switch role {
	case "user":
		prompt(b, w, m, parts, created)
	case "assistant":
		assistant(b, w, m, parts)
	default:
		w.Gap(agent.GapUnknown, "a message of an unknown role", agent.Span{Length: m.Data.Len()})
	}
}

func prompt(b *agent.Builder, w *agent.Work, m Row, parts []Row, created time.Time) {
	t := agent.Turn{ID: m.ID, Origin: agent.FromPerson, Start: created}
	if w.Head().Parent != nil && !w.Begun() {
		t.Origin = agent.FromTask
	}
	for _, p := range parts {
		switch kind, _ := p.Data.Get("type").TextUpTo(64); kind {
		case "text":
			if text := p.Data.Get("text"); t.Prompt == nil && !p.Data.Get("synthetic").True() {
				t.Prompt = b.Text(text, agent.MaxText)
			}
		case "file":
			if mime, _ := p.Data.Get("mime").TextUpTo(6); mime == "image/" {
				t.Images++
			}
		case "compaction":
			w.Compacted(agent.Compaction{Time: created})
		}
	}
	w.Begin(t)
}

func assistant(b *agent.Builder, w *agent.Work, m Row, parts []Row) {
	var raw, provider string
	var tokens, cost agent.Value
	w.Turn()
	m.Data.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "modelID":
			raw, _ = v.TextUpTo(256)
		case "providerID":
			provider, _ = v.TextUpTo(64)
		case "tokens":
			tokens = v
		case "cost":
			cost = v
		case "time":
			w.Seen(v.Get("completed").Time())
		case "mode":
			mode, _ := v.TextUpTo(64)
			w.SetMode(mode)
		case "variant":
			effort, _ := v.TextUpTo(64)
			w.SetEffort(effort)
		case "path":
			if dir := agent.Path(v.Get("cwd")); dir != "" && w.Head().Base.Dir == "" {
				w.Head().Base.Dir = dir
			}
		case "error":
			if name, _ := v.Get("name").TextUpTo(64); name == "MessageAbortedError" {
				w.Turn().Interrupted = true
			} else if v.Exists() {
				w.Turn().Errors++
			}
		case "summary":
			if v.True() {
				w.Compacted(agent.Compaction{Time: m.Data.Get("time", "created").Time()})
			}
		}
	})
	if raw != "" && provider != "" {
		raw = provider + "/" + raw
	}
	model := w.Worked(raw)
	if tokens.IsObject() {
		u := agent.Usage{
			Requests: 1, Input: tokens.Get("input").Int(), Reasoning: tokens.Get("reasoning").Int(),
			CacheRead: tokens.Get("cache", "read").Int(), CacheWrite: tokens.Get("cache", "write").Int(),
		}
		u.Output = tokens.Get("output").Int() + u.Reasoning
		if cost.Exists() {
			c := int64(cost.Float()*1e6 + 0.5)
			u.Cost = &c
		}
		w.Use(m.ID, model, u)
	}
	for _, p := range parts {
		part(b, w, p)
	}
}

func part(b *agent.Builder, w *agent.Work, p Row) {
	switch kind, _ := p.Data.Get("type").TextUpTo(64); kind {
	case "text":
		if !p.Data.Get("synthetic").True() {
			w.Answer(p.Data.Get("text"))
		}
	case "reasoning":
		w.Turn().Thinking += p.Data.Get("text").Size()
	case "tool":
		tool(b, w, p)
	case "step-start", "step-finish", "snapshot", "patch", "file", "agent", "subtask", "retry", "compaction":
	default:
		w.Gap(agent.GapUnknown, "a part of an unknown type", agent.Span{Length: p.Data.Len()})
	}
}

// tool is a call with its state, which has its input and, when it has ended, its
// output.
func tool(b *agent.Builder, w *agent.Work, p Row) {
	name, _ := p.Data.Get("tool").TextUpTo(256)
	state := p.Data.Get("state")
	c := b.NewCall(p.Data.Get("callID").Text(), name, state.Get("input"))
	c.At = agent.Span{}
	c.Start, c.End = state.Get("time", "start").Time(), state.Get("time", "end").Time()
	output := state.Get("output")
	c.Output = output.Len()
	meta := state.Get("metadata")
	switch status, _ := state.Get("status").TextUpTo(64); status {
	case "completed":
		var exit *int
		if code := meta.Get("exit"); code.Exists() {
			n := int(code.Int())
			exit = &n
		}
		text := ""
		if c.Test != nil {
			text = output.Text()
		}
		c.Ran(text, false, exit)
	case "error":
		c.Outcome = agent.OutcomeError
		c.Error = b.Text(state.Get("error"), 1024)
		if c.Error != nil && (bytes.HasPrefix([]byte(c.Error.Text), []byte("The user rejected permission")) || bytes.Contains([]byte(c.Error.Text), []byte("user rejected permission"))) {
			c.Outcome, c.Decision = agent.OutcomeNone, agent.Rejected
		}
	}
	if c.Kind == agent.KindSpawn {
		if c.Spawn == nil {
			c.Spawn = &agent.Spawn{}
		}
		if child := meta.Get("sessionId"); child.IsString() {
			c.Spawn.Session = child.Text()
		}
		c.Spawn.Result = b.Text(output, agent.MaxText)
	}
	w.Seen(c.End)
	w.Call(c)
}
