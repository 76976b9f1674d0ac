// Package copilot answers what GitHub Copilot's agents did in a session, in the
// terminal and in VS Code. [CLI] reads ~/.copilot/session-state/<id>/events.jsonl;
// [VSCode] reads the transcripts of the chat extension,
// workspaceStorage/<hash>/GitHub.copilot-chat/transcripts/<id>.jsonl, whose lines
// are the same events, and VS Code's own chatSessions/<id>.json and .jsonl.
package copilot

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// The keys of the agents.
const (
	CLIName    = "copilot-cli"
	VSCodeName = "copilot-vscode"
)

// CLI reads the sessions of Copilot CLI.
type CLI struct{}

// Agent gives the key of the agent.
func (CLI) Agent() string { return CLIName }

// Recognises reports whether the transcript is one of Copilot CLI.
func (CLI) Recognises(path string, head []byte) bool {
	return events(head) && !editors(path, head)
}

// Read reads the transcript; see agent.Decoder.
func (CLI) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	return agent.ReadLines(ctx, CLIName, src, from, event)
}

// VSCode reads the sessions of Copilot Chat in VS Code.
type VSCode struct{}

// Agent gives the key of the agent.
func (VSCode) Agent() string { return VSCodeName }

// Recognises reports whether the transcript is one of Copilot in VS Code.
func (VSCode) Recognises(path string, head []byte) bool {
	return events(head) && editors(path, head) || mutations(head) || chat(head)
}

// Read reads the transcript; see agent.Decoder.
func (VSCode) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	head := make([]byte, 4<<10)
	if src.Body != nil {
		n, _ := src.Body.ReadAt(head, 0)
		head = head[:n]
	}
	id := ""
	if src.Path != "" {
		id = strings.TrimSuffix(filepath.Base(src.Path), filepath.Ext(src.Path))
	}
	switch {
	case mutations(head):
		return agent.ReadLines(ctx, VSCodeName, src, from, func(b *agent.Builder, v agent.Value, at agent.Span) string {
			return mutation(b, id, v)
		})
	case chat(head):
		return agent.ReadDocument(ctx, VSCodeName, src, from, func(b *agent.Builder, v agent.Value) { session(b, id, v) })
	default:
		return agent.ReadLines(ctx, VSCodeName, src, from, event)
	}
}

// events reports whether a transcript is one of events.
func events(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.HasPrefix(line, []byte(`{"type":"session.start"`)) || bytes.Contains(line, []byte(`"type":"session.start"`)) && bytes.Contains(line, []byte(`"producer":"copilot`))
}

// editors reports whether it is VS Code's.
func editors(path string, head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.Contains(line, []byte(`"vscodeVersion":`)) || strings.Contains(path, "GitHub.copilot-chat")
}

func mutations(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.Contains(line, []byte(`"kind":0,"v":`))
}

func chat(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) && bytes.Contains(head, []byte(`"requests":`)) &&
		(bytes.Contains(head, []byte(`"sessionId":`)) || bytes.Contains(head, []byte(`"requesterUsername":`)) || bytes.Contains(head, []byte(`"inputState":`)))
}

// event is one entry of a transcript of events.
func event(b *agent.Builder, v agent.Value, at agent.Span) string {
	var kind, id, subagent string
	var when time.Time
	var data agent.Value
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "type":
			kind, _ = v.TextUpTo(64)
		case "id":
			id, _ = v.TextUpTo(256)
		case "timestamp":
			when = v.Time()
		case "agentId":
			subagent, _ = v.TextUpTo(256)
		case "data":
			data = v
		}
	})
	if kind == "session.start" {
		start(b, data, when)
		return ""
	}
	if kind == "" {
		return "an entry without a type"
	}
	if b.Last() == nil {
		b.Session("").Gap(agent.GapVanished, "the beginning of the session", agent.Span{Offset: at.Offset})
	}
	call, _ := data.Get("parentToolCallId").TextUpTo(256)
	if strings.HasPrefix(kind, "subagent.") {
		spawned(b, strings.TrimPrefix(kind, "subagent."), subagent, call, data, when)
		return ""
	}
	w := worker(b, subagent, call)
	w.Around(when)
	switch kind {
	case "user.message":
		origin := agent.FromPerson
		if subagent != "" || call != "" {
			origin = agent.FromTask
		}
		w.Begin(agent.Turn{
			ID: id, Origin: origin, Start: when, At: at, Images: images(data.Get("attachments")),
			Prompt: b.Text(data.Get("content"), agent.MaxText),
		})
	case "assistant.message":
		w.Seen(when)
		assistant(b, w, data, when)
	case "assistant.reasoning":
		w.Turn().Thinking += data.Get("content").Size()
	case "assistant.usage":
		w.Use(data.Get("apiCallId").Text(), w.Worked(data.Get("model").Text()), used(data))
	case "tool.execution_start":
		w.Seen(when)
		c := b.NewCall(data.Get("toolCallId").Text(), data.Get("toolName").Text(), data.Get("arguments"))
		c.Start = when
		if server := data.Get("mcpServerName"); server.IsString() {
			c.Kind, c.Server = agent.KindMCP, server.Text()
		}
		made(b, w, w.Call(c))
	case "tool.execution_complete":
		complete(b, w, data, when)
	case "session.model_change":
		w.SetModel(data.Get("newModel").Text())
	case "session.mode_changed":
		w.SetNext(data.Get("newMode").Text(), "")
	case "session.compaction_complete":
		w.Compacted(agent.Compaction{Time: when, Before: data.Get("preCompactionTokens").Int()})
	case "session.error", "assistant.error":
		if w.Begun() {
			w.Turn().Errors++
		}
	case "abort":
		if w.Begun() {
			w.Turn().Interrupted = true
		}
	case "session.shutdown":
		if b.Memo(anySub) == "" { // the sum holds what sub-agents used, too
			shutdown(w, data)
		}
	case "session.info", "session.resume", "session.title_changed", "session.context_changed", "session.truncation", "session.handoff",
		"session.compaction_start", "session.idle", "session.snapshot_rewind", "session.workspace_file_changed", "session.warning",
		"session.import_legacy", "session.plan_changed", "session.usage_info",
		"assistant.turn_start", "assistant.turn_end", "assistant.intent", "tool.execution_progress", "tool.execution_partial_result",
		"tool.user_requested", "hook.start", "hook.end", "system.message", "system.notification", "permission.requested", "permission.completed",
		"skill.invoked", "session.task_complete":
	default:
		return "an event of an unknown type"
	}
	return ""
}

func start(b *agent.Builder, data agent.Value, when time.Time) {
	w := b.Session(data.Get("sessionId").Text())
	b.Note(rootMemo, w.Head().ID)
	w.Around(when)
	s := w.Head()
	data.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "copilotVersion":
			s.Version, _ = v.TextUpTo(64)
		case "startTime":
			w.Around(v.Time())
		case "selectedModel":
			w.SetModel(v.Text())
		case "parentSessionId":
			if v.IsString() {
				s.Parent = &agent.Parent{Session: v.Text(), Method: "session.start"}
			}
		case "context":
			v.Each(func(name []byte, v agent.Value) {
				text, _ := v.TextUpTo(agent.MaxShort)
				switch string(name) {
				case "cwd":
					s.Base.Dir = text
				case "branch":
					s.Base.Branch = text
				case "headCommit":
					s.Base.Commit = text
				case "repository":
					s.Base.Repository = text
				}
			})
		}
	})
}

func images(attachments agent.Value) int {
	n := 0
	attachments.Items(func(v agent.Value) {
		if kind, _ := v.Get("type").TextUpTo(64); kind == "image" || kind == "blob" {
			n++
		}
	})
	return n
}

// assistant is a message of the model with the calls that it asks for.
func assistant(b *agent.Builder, w *agent.Work, data agent.Value, when time.Time) {
	w.Worked("")
	w.Answer(data.Get("content"))
	w.Turn().Thinking += data.Get("reasoningText").Size()
	if out := data.Get("outputTokens"); out.Exists() {
		w.Use(data.Get("messageId").Text(), w.Model(), agent.Usage{Requests: 1, Output: out.Int()})
	}
	data.Get("toolRequests").Items(func(v agent.Value) {
		c := b.NewCall(v.Get("toolCallId").Text(), v.Get("name").Text(), v.Get("arguments"))
		c.Start = when
		made(b, w, w.Call(c))
	})
}

func used(data agent.Value) agent.Usage {
	u := agent.Usage{Requests: 1}
	data.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "inputTokens":
			u.Input = v.Int()
		case "outputTokens":
			u.Output = v.Int()
		case "cacheReadTokens":
			u.CacheRead = v.Int()
		case "cacheWriteTokens":
			u.CacheWrite = v.Int()
		}
	})
	u.Input = max(0, u.Input-u.CacheRead)
	return u
}

// complete is the result of a call. Of versions that have only the text for the
// model, "denied" says what the person decided.
func complete(b *agent.Builder, w *agent.Work, data agent.Value, when time.Time) {
	result := data.Get("result")
	output := result.Get("text_result_for_llm")
	if !output.Exists() {
		output = result.Get("content")
	}
	kind, _ := result.Get("result_type").TextUpTo(64)
	success := data.Get("success")
	failed := success.Exists() && !success.True() || kind == "failure" || kind == "error"
	c := w.Ended(data.Get("toolCallId").Text(), output, failed, when)
	if c == nil {
		return
	}
	code, _ := data.Get("error", "code").TextUpTo(64)
	switch {
	case kind == "rejected", code == "rejected":
		c.Outcome, c.Decision = agent.OutcomeNone, agent.Rejected
	case kind == "denied", code == "denied":
		c.Outcome = agent.OutcomeNone
	case failed && c.Error == nil:
		c.Error = b.Text(data.Get("error", "message"), 1024)
	}
}

// shutdown tells the tokens of the whole session by model. They are its total
// where its messages told none.
func shutdown(w *agent.Work, data agent.Value) {
	sum := &agent.ModelUse{Usage: &agent.Usage{}}
	n := 0
	data.Get("modelMetrics").Each(func(name []byte, v agent.Value) {
		u := used(v.Get("usage"))
		u.Requests = int(v.Get("requests", "count").Int())
		sum.Usage = sum.Usage.Add(&u)
		n++
	})
	if n > 0 {
		sum.Model = w.Model()
		w.Head().Total = sum
	}
}
