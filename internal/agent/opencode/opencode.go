// Package opencode answers what OpenCode did in a session. It reads its database,
// ~/.local/share/opencode/opencode.db, read-only, and the storage folder of
// versions before it: storage/message/<session>/<message>.json with
// storage/part/<message>/<part>.json.
package opencode

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "opencode"

// Decoder reads the sessions of OpenCode.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is OpenCode's database or its
// storage folder.
func (Decoder) Recognises(path string, head []byte) bool {
	if bytes.HasPrefix(head, []byte("SQLite format 3\x00")) {
		return filepath.Base(path) == "opencode.db"
	}
	if path == "" || len(head) > 0 {
		return false
	}
	info, err := os.Stat(filepath.Join(path, "message"))
	return err == nil && info.IsDir()
}

// Read reads the sessions; see agent.Decoder. Both forms are changed in place,
// so a session that changed since is given as a whole.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	if src.Path == "" {
		return agent.Reading{}, &agent.DecodeError{Agent: Name, Reason: "a database or a folder on disk is expected"}
	}
	if src.Body != nil {
		return readDatabase(ctx, src, from)
	}
	return readFolder(ctx, src, from)
}

// row is a message or a part, with what stands beside its JSON.
type row struct {
	id   string
	data agent.Value
}

// message reads one message with its parts.
func message(b *agent.Builder, w *agent.Work, m row, parts []row) {
	role, _ := m.data.Get("role").TextUpTo(64)
	created := m.data.Get("time", "created").Time()
	w.Around(created)
	switch role {
	case "user":
		prompt(b, w, m, parts, created)
	case "assistant":
		assistant(b, w, m, parts)
	default:
		w.Gap(agent.GapUnknown, "a message of an unknown role", agent.Span{Length: m.data.Len()})
	}
}

func prompt(b *agent.Builder, w *agent.Work, m row, parts []row, created time.Time) {
	t := agent.Turn{ID: m.id, Origin: agent.FromPerson, Start: created}
	if w.Head().Parent != nil && !w.Begun() {
		t.Origin = agent.FromTask
	}
	for _, p := range parts {
		switch kind, _ := p.data.Get("type").TextUpTo(64); kind {
		case "text":
			if text := p.data.Get("text"); t.Prompt == nil && !p.data.Get("synthetic").True() {
				t.Prompt = b.Text(text, agent.MaxText)
			}
		case "file":
			if mime, _ := p.data.Get("mime").TextUpTo(6); mime == "image/" {
				t.Images++
			}
		case "compaction":
			w.Compacted(agent.Compaction{Time: created})
		}
	}
	w.Begin(t)
}

func assistant(b *agent.Builder, w *agent.Work, m row, parts []row) {
	var raw, provider string
	var tokens, cost agent.Value
	w.Turn()
	m.data.Each(func(name []byte, v agent.Value) {
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
				w.Compacted(agent.Compaction{Time: m.data.Get("time", "created").Time()})
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
		w.Use(m.id, model, u)
	}
	for _, p := range parts {
		part(b, w, p)
	}
}

func part(b *agent.Builder, w *agent.Work, p row) {
	switch kind, _ := p.data.Get("type").TextUpTo(64); kind {
	case "text":
		if !p.data.Get("synthetic").True() {
			w.Answer(p.data.Get("text"))
		}
	case "reasoning":
		w.Turn().Thinking += p.data.Get("text").Size()
	case "tool":
		tool(b, w, p)
	case "step-start", "step-finish", "snapshot", "patch", "file", "agent", "subtask", "retry", "compaction":
	default:
		w.Gap(agent.GapUnknown, "a part of an unknown type", agent.Span{Length: p.data.Len()})
	}
}

// tool is a call with its state, which has its input and, when it has ended, its
// output.
func tool(b *agent.Builder, w *agent.Work, p row) {
	name, _ := p.data.Get("tool").TextUpTo(256)
	state := p.data.Get("state")
	c := b.NewCall(p.data.Get("callID").Text(), name, state.Get("input"))
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
