// Package claudecode answers what Claude Code did in a session. It reads the
// transcripts of ~/.claude/projects/<folder>/<session>.jsonl and those of its
// sub-agents, <session>/subagents/agent-<id>.jsonl (in older versions a file
// beside it, or entries of the same file that are marked as a side chain).
//
// A line is an entry: a message of the person or of the model, a result of a
// tool, or something the tool notes. The format is not documented; what is read
// was seen in versions 1.0.111 to 2.1.114.
package claudecode

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "claude-code"

// Decoder reads transcripts of Claude Code.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is one of Claude Code.
func (Decoder) Recognises(path string, head []byte) bool {
	if strings.Contains(filepath.ToSlash(path), "/.claude/projects/") && strings.HasSuffix(path, ".jsonl") {
		return true
	}
	return bytes.Contains(head, []byte(`"sessionId":`)) && (bytes.Contains(head, []byte(`"isSidechain":`)) || bytes.Contains(head, []byte(`"type":"file-history-snapshot"`)) ||
		bytes.Contains(head, []byte(`"type":"queue-operation"`))) ||
		bytes.HasPrefix(head, []byte(`{"type":"summary","summary":`)) || bytes.HasPrefix(head, []byte(`{"type":"file-history-snapshot"`))
}

// Read reads the transcript; see agent.Decoder.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	f := file{parent: subagentOf(src.Path)}
	return agent.ReadLines(ctx, Name, src, from, f.entry)
}

// subagentOf gives the session that a sub-agent's file is of, from its path.
func subagentOf(path string) string {
	dir := filepath.Dir(path)
	if filepath.Base(dir) != "subagents" || !strings.HasPrefix(filepath.Base(path), "agent-") {
		return ""
	}
	return filepath.Base(filepath.Dir(dir))
}

type file struct{ parent string }

// line is what is read of an entry.
type line struct {
	kind, subtype, session, agentID, mode string
	sidechain, meta, compact              bool
	version, cwd, branch, request, uuid   string
	time                                  time.Time
	message, result, data, content        agent.Value
	compaction, cost                      agent.Value
	parentCall, url, title, effort, team  string
}

func (f file) entry(b *agent.Builder, v agent.Value, at agent.Span) string {
	l := scan(v)
	if l.kind == "" {
		return "an entry without a type"
	}
	w := f.session(b, &l)
	switch l.kind {
	case "user", "assistant", "progress", "system", "attachment":
	case "summary", "ai-title", "custom-title", "agent-name":
		if w != nil && l.title != "" {
			w.Head().Title = l.title
		}
		return ""
	case "permission-mode":
		if w != nil {
			w.SetMode(l.mode)
		}
		return ""
	case "pr-link":
		if w != nil {
			w.Change(l.url)
		}
		return ""
	case "queue-operation", "file-history-snapshot", "last-prompt", "mode", "worktree-state", "marble-origami-commit",
		"marble-origami-snapshot", "content-replacement", "attribution-snapshot", "speculation-accept", "task-summary",
		"tag", "agent-setting", "agent-color", "bridge-session", "frame-link", "fork-context-ref", "relocated",
		"queued_command":
		return ""
	default:
		return "an entry of an unknown type"
	}
	if w == nil {
		return "an entry without a session"
	}
	head(w, &l)
	switch l.kind {
	case "user":
		w.Around(l.time)
		user(b, w, &l, at)
	case "assistant":
		w.Seen(l.time)
		assistant(b, w, &l)
	case "progress":
		f.progress(b, w, &l, at)
	case "system":
		w.Seen(l.time)
		system(w, &l)
	}
	return ""
}

// scan takes what is read out of an entry, in one pass.
func scan(v agent.Value) line {
	var l line
	short := func(v agent.Value) string { s, _ := v.TextUpTo(agent.MaxShort); return s }
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "type":
			l.kind = short(v)
		case "subtype":
			l.subtype = short(v)
		case "sessionId":
			l.session = short(v)
		case "agentId":
			l.agentID = short(v)
		case "isSidechain":
			l.sidechain = v.True()
		case "isMeta":
			l.meta = v.True()
		case "isCompactSummary":
			l.compact = v.True()
		case "permissionMode":
			l.mode = short(v)
		case "version":
			l.version = short(v)
		case "cwd":
			l.cwd = short(v)
		case "gitBranch":
			l.branch = short(v)
		case "requestId":
			l.request = short(v)
		case "uuid":
			l.uuid = short(v)
		case "timestamp":
			l.time = v.Time()
		case "message":
			l.message = v
		case "toolUseResult":
			l.result = v
		case "data":
			l.data = v
		case "content":
			l.content = v
		case "compactMetadata":
			l.compaction = v
		case "costUSD":
			l.cost = v
		case "parentToolUseID":
			l.parentCall = short(v)
		case "prUrl":
			l.url = short(v)
		case "summary", "customTitle", "aiTitle", "agentName":
			l.title = short(v)
		case "teamName":
			l.team = short(v)
		case "effort":
			l.effort = short(v)
		}
	})
	return l
}

// session gives the session of an entry: that of the agent, or of the sub-agent
// where the entry is of a side chain. It is nil where the entry names none and
// none was named before.
func (f file) session(b *agent.Builder, l *line) *agent.Work {
	if l.session == "" {
		return b.Last()
	}
	if !l.sidechain && f.parent == "" {
		return b.Session(l.session)
	}
	if !l.sidechain && l.agentID == "" {
		return b.Session(l.session)
	}
	parent := l.session
	w := b.Session(SubagentID(parent, l.agentID))
	if w.Head().Parent == nil {
		method := "isSidechain"
		if f.parent != "" {
			method = "sub-agent file"
		}
		w.Head().Parent = &agent.Parent{Session: parent, Method: method}
	}
	return w
}

// SubagentID is the id of the session of a sub-agent. Claude Code gives it an id
// within its parent's; that of older versions has none.
func SubagentID(parent, id string) string {
	if id == "" {
		id = "sidechain"
	}
	return parent + "/agent-" + id
}

func head(w *agent.Work, l *line) {
	s := w.Head()
	if l.version != "" {
		s.Version = l.version
	}
	if s.Base.Dir == "" {
		s.Base.Dir = l.cwd
	}
	if l.branch != "" {
		s.Base.Branch = l.branch
	}
	if l.team != "" && s.Team == nil {
		s.Team = &agent.Team{Name: l.team, Member: l.title}
	}
}

// system is what the tool itself notes.
func system(w *agent.Work, l *line) {
	switch l.subtype {
	case "compact_boundary":
		w.Compacted(agent.Compaction{Time: l.time, Trigger: l.compaction.Get("trigger").Text(), Before: l.compaction.Get("preTokens").Int()})
	case "api_error":
		w.Turn().Errors++
	}
}

// assistant is a message of the model, or a part of it.
func assistant(b *agent.Builder, w *agent.Work, l *line) {
	var id, model string
	var content, usage agent.Value
	l.message.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "id":
			id, _ = v.TextUpTo(256)
		case "model":
			model, _ = v.TextUpTo(256)
		case "content":
			content = v
		case "usage":
			usage = v
		}
	})
	if l.effort != "" {
		w.SetEffort(l.effort)
	}
	if model == "<synthetic>" {
		// The tool's own words in place of an answer: an error of the service.
		w.Turn().Errors++
		return
	}
	m := w.Worked(model)
	if usage.Exists() {
		u := agent.Usage{Requests: 1}
		usage.Each(func(name []byte, v agent.Value) {
			switch string(name) {
			case "input_tokens":
				u.Input = v.Int()
			case "cache_creation_input_tokens":
				u.CacheWrite = v.Int()
			case "cache_read_input_tokens":
				u.CacheRead = v.Int()
			case "output_tokens":
				u.Output = v.Int()
			}
		})
		if l.cost.Exists() {
			cost := int64(l.cost.Float() * 1e6)
			u.Cost = &cost
		}
		if id == "" {
			id = l.request
		}
		w.Use(id, m, u)
	}
	if content.IsString() {
		w.Answer(content)
	}
	content.Items(func(v agent.Value) {
		var kind, callID, name string
		var text, input agent.Value
		v.Each(func(key []byte, v agent.Value) {
			switch string(key) {
			case "type":
				kind, _ = v.TextUpTo(64)
			case "id":
				callID, _ = v.TextUpTo(agent.MaxShort)
			case "name":
				name, _ = v.TextUpTo(256)
			case "text", "thinking":
				text = v
			case "input":
				input = v
			}
		})
		switch kind {
		case "text":
			w.Answer(text)
		case "thinking":
			w.Turn().Thinking += text.Size()
		case "redacted_thinking":
			w.Gap(agent.GapTruncated, "thinking that is not shown", agent.Span{Offset: v.Offset(), Length: v.Len()})
		case "tool_use", "server_tool_use":
			c := b.NewCall(callID, name, input)
			c.Start = l.time
			if c.Kind == agent.KindPlan && name == "ExitPlanMode" {
				c.Kind = agent.KindAsk
			}
			w.Call(c)
			if name == "SendMessage" {
				sent(b, w, l, callID, input)
			}
		case "web_search_tool_result", "image", "document":
		default:
			w.Gap(agent.GapUnknown, "a part of a message of an unknown type", agent.Span{Offset: v.Offset(), Length: v.Len()})
		}
	})
}

// progress holds messages of a running sub-agent, where the tool keeps no file
// of its own for it, and output of running commands, which comes again with
// the result.
func (f file) progress(b *agent.Builder, w *agent.Work, l *line, at agent.Span) {
	var kind, id string
	var message agent.Value
	l.data.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "type":
			kind, _ = v.TextUpTo(64)
		case "agentId":
			id, _ = v.TextUpTo(256)
		case "message":
			message = v
		}
	})
	if kind != "agent_progress" || !message.IsObject() {
		return
	}
	child := b.Session(SubagentID(l.session, id))
	p := child.Head().Parent
	if p == nil {
		p = &agent.Parent{Session: w.Head().ID, Call: l.parentCall, Method: "agent_progress"}
		if c := w.Open(l.parentCall); c != nil && c.Spawn != nil {
			p.Role = c.Spawn.Role
			c.Spawn.Session = child.Head().ID
		}
		child.Head().Parent = p
	}
	inner := scan(message)
	if inner.time.IsZero() {
		inner.time = l.time
	}
	inner.sidechain = true
	inner.version, inner.cwd, inner.branch = l.version, l.cwd, l.branch
	head(child, &inner)
	child.Around(inner.time)
	switch inner.kind {
	case "user":
		user(b, child, &inner, at)
	case "assistant":
		child.Seen(inner.time)
		assistant(b, child, &inner)
	}
	b.Session(w.Head().ID)
}
