// Package codex answers what OpenAI's Codex did in a session (a thread, in its
// own words). It reads rollout files,
// ~/.codex/sessions/YYYY/MM/DD/rollout-<time>-<id>.jsonl, of the CLI, the desktop
// app and the editors, which all keep the same.
//
// A line is {timestamp, type, payload}: session_meta comes first, turn_context
// before each turn, response_item is what went to the model and came from it,
// event_msg what the person was shown. Versions before 0.44 have the payload of
// a response_item as the line itself.
package codex

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "codex"

// Decoder reads rollout files of Codex.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is one of Codex.
func (Decoder) Recognises(path string, head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.Contains(line, []byte(`"type":"session_meta"`)) && bytes.Contains(line, []byte(`"payload":`)) ||
		bytes.HasPrefix(line, []byte(`{"id":"`)) && bytes.Contains(line, []byte(`"instructions":`)) ||
		strings.HasPrefix(filepath.Base(path), "rollout-") && strings.HasSuffix(path, ".jsonl") && bytes.HasPrefix(head, []byte("{"))
}

// Read reads the transcript; see agent.Decoder.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	f := file{id: idOf(src.Path)}
	return agent.ReadLines(ctx, Name, src, from, f.entry)
}

var fileID = regexp.MustCompile(`([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.jsonl$`)

// idOf gives the id that a rollout file is named after, or "".
func idOf(path string) string {
	if m := fileID.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}

type file struct{ id string }

func (f file) entry(b *agent.Builder, v agent.Value, at agent.Span) string {
	var kind string
	var payload, id, git agent.Value
	var when time.Time
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "type":
			kind, _ = v.TextUpTo(64)
		case "timestamp":
			when = v.Time()
		case "payload":
			payload = v
		case "id":
			id = v
		case "git":
			git = v
		}
	})
	switch {
	case kind == "session_meta":
		meta(b, payload, when)
		return ""
	case kind == "" && id.IsString() && !payload.Exists():
		// The first line of old versions.
		w := b.Session(id.Text())
		base(w, git)
		w.Seen(when)
		return ""
	}
	w := b.Last()
	if w == nil {
		w = b.Session(f.id)
		w.Gap(agent.GapVanished, "the beginning of the session", agent.Span{Offset: at.Offset})
	}
	w.Around(when)
	switch kind {
	case "turn_context":
		turnContext(w, payload)
	case "response_item":
		return item(b, w, payload, when, at)
	case "event_msg":
		return event(b, w, payload, when, at)
	case "compacted":
		w.Compacted(agent.Compaction{Time: when})
	case "message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "local_shell_call":
		return item(b, w, v, when, at)
	case "":
		if v.Get("record_type").Exists() {
			return "" // the state of old versions
		}
		return "an entry without a type"
	default:
		return "an entry of an unknown type"
	}
	return ""
}

// meta is what the session is. A session that was forked begins with its own
// meta and goes on with that of the one it was forked from, and its history.
func meta(b *agent.Builder, p agent.Value, when time.Time) {
	id := p.Get("id").Text()
	if w := b.Last(); w != nil && w.Head().ID != id && b.Memo("own") != "" {
		// Early versions name the origin of a fork by its meta alone.
		if s := w.Head(); s.Parent == nil && id != "" {
			s.Parent = &agent.Parent{Session: id, Fork: true, Method: "session_meta of another session"}
		}
		return
	}
	b.Note("own", "yes")
	w := b.Session(id)
	s := w.Head()
	var source agent.Value
	var parent agent.Parent
	p.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "cli_version":
			s.Version, _ = v.TextUpTo(64)
		case "cwd":
			s.Base.Dir = agent.Path(v)
		case "git":
			base(w, v)
		case "timestamp":
			w.Seen(v.Time())
		case "source":
			source = v
		case "forked_from_id":
			if parent.Session == "" && v.IsString() {
				parent.Session, parent.Fork, parent.Method = v.Text(), true, "session_meta.forked_from_id"
			}
		case "parent_thread_id":
			if v.IsString() {
				parent.Session, parent.Method = v.Text(), "session_meta.parent_thread_id"
			}
		case "agent_role":
			parent.Role, _ = v.TextUpTo(256)
		}
	})
	sub := source.Get("subagent")
	if spawn := sub.Get("thread_spawn"); spawn.IsObject() {
		if from := spawn.Get("parent_thread_id"); from.IsString() {
			parent.Session, parent.Method = from.Text(), "session_meta.source.subagent"
		}
		if role := spawn.Get("agent_role"); role.IsString() && parent.Role == "" {
			parent.Role, _ = role.TextUpTo(256)
		}
	} else if sub.IsString() {
		parent.Role, _ = sub.TextUpTo(64) // "review", "compact"
	}
	if p.Get("thread_source").Text() == "subagent" || sub.Exists() {
		parent.Fork = false
		w.Note("subagent", "yes")
	}
	if parent.Session != "" && parent.Session != s.ID {
		s.Parent = &parent
	}
	w.Seen(when)
}

// base reads the git base.
func base(w *agent.Work, git agent.Value) {
	s := w.Head()
	git.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "commit_hash":
			s.Base.Commit, _ = v.TextUpTo(64)
		case "branch":
			s.Base.Branch, _ = v.TextUpTo(agent.MaxShort)
		case "repository_url":
			s.Base.Repository, _ = v.TextUpTo(agent.MaxShort)
		}
	})
}

// turnContext is the setting in which the next turn is worked on.
func turnContext(w *agent.Work, p agent.Value) {
	var approval, sandbox, effort string
	p.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "model":
			raw, _ := v.TextUpTo(256)
			w.SetModel(raw)
		case "effort":
			effort, _ = v.TextUpTo(64)
		case "approval_policy":
			approval, _ = v.TextUpTo(64)
		case "sandbox_policy":
			sandbox, _ = v.TextUpTo(64)
			if v.IsObject() {
				sandbox, _ = v.Get("type").TextUpTo(64)
				if sandbox == "" {
					sandbox, _ = v.Get("mode").TextUpTo(64)
				}
			}
		case "turn_id":
			id, _ := v.TextUpTo(256)
			w.Note("turn", id)
		}
	})
	mode := approval
	if sandbox != "" {
		mode += "/" + sandbox
	}
	mode = strings.Trim(mode, "/")
	if w.Begun() && w.Memo("quiet") == "yes" {
		// The prompt was written before its context.
		w.SetMode(mode)
		w.SetEffort(effort)
		w.Worked("")
		return
	}
	w.SetNext(mode, effort)
}

// item is what went to the model or came from it.
func item(b *agent.Builder, w *agent.Work, p agent.Value, when time.Time, at agent.Span) string {
	var kind, role, name, id string
	var content, input, output, summary, action agent.Value
	p.Each(func(key []byte, v agent.Value) {
		switch string(key) {
		case "type":
			kind, _ = v.TextUpTo(64)
		case "role":
			role, _ = v.TextUpTo(64)
		case "name":
			name, _ = v.TextUpTo(256)
		case "call_id":
			id, _ = v.TextUpTo(agent.MaxShort)
		case "content":
			content = v
		case "arguments", "input":
			input = v
		case "output":
			output = v
		case "summary":
			summary = v
		case "action":
			action = v
		}
	})
	if role != "user" {
		w.Seen(when)
	}
	switch kind {
	case "message":
		message(b, w, role, content, when, at)
	case "reasoning":
		w.Note("quiet", "")
		w.Worked("")
		thinking := func(v agent.Value) { w.Turn().Thinking += v.Get("text").Size() }
		summary.Items(thinking)
		content.Items(thinking)
	case "function_call", "custom_tool_call":
		w.Note("quiet", "")
		w.Worked("")
		c := b.NewCall(id, name, input)
		c.Start = when
		if c.Kind == agent.KindMCP || strings.Contains(name, "__") {
			c.Kind, c.Server = agent.KindMCP, strings.TrimPrefix(strings.Split(name, "__")[0], "mcp")
		}
		w.Call(c)
	case "local_shell_call":
		w.Worked("")
		c := b.NewCall(id, "local_shell", action)
		c.Start = when
		w.Call(c)
	case "function_call_output", "custom_tool_call_output":
		result(b, w, id, output, when, agent.Span{Offset: output.Offset(), Length: output.Len()})
	case "web_search_call":
		w.Call(agent.Call{Name: kind, Kind: agent.KindFetch, Start: when, At: at, Input: at.Length})
	case "ghost_snapshot", "compaction", "other", "compaction_summary", "image_generation_call":
	default:
		return "an item of an unknown type"
	}
	return ""
}

// message is a text of the person, the model, or the tool.
func message(b *agent.Builder, w *agent.Work, role string, content agent.Value, when time.Time, at agent.Span) {
	images := 0
	var text agent.Value
	content.Items(func(v agent.Value) {
		switch kind, _ := v.Get("type").TextUpTo(64); kind {
		case "input_text", "output_text", "text":
			text = v.Get("text")
			if role == "assistant" {
				w.Answer(text)
			}
		case "input_image":
			images++
		}
	})
	switch role {
	case "user":
		prompt(b, w, text, images, when, at)
	case "assistant":
		w.Note("quiet", "")
		w.Worked("")
	}
}

// prompt begins a turn, unless the text is what Codex tells the model beside
// the prompt. The same prompt is told twice, as an item and as an event.
func prompt(b *agent.Builder, w *agent.Work, text agent.Value, images int, when time.Time, at agent.Span) {
	begin, _ := text.TextUpTo(64)
	for _, own := range []string{"<environment_context>", "<user_instructions>", "<INSTRUCTIONS>", "# AGENTS.md instructions", "<turn_aborted>", "<user_shell_command>", "<skill>", "<permissions instructions>", "<subagent_notification>"} {
		if strings.HasPrefix(begin, own) {
			return
		}
	}
	if !text.Exists() && images == 0 {
		return
	}
	if w.Memo("quiet") == "yes" && w.Memo("prompt") == fingerprint(text) {
		w.Turn().Images = max(w.Turn().Images, images)
		return
	}
	t := agent.Turn{ID: w.Memo("turn"), Origin: agent.FromPerson, Start: when, Images: images, At: at}
	if w.Memo("subagent") != "" && !w.Begun() {
		t.Origin = agent.FromTask
	}
	t.Prompt = b.Text(text, agent.MaxText)
	w.Begin(t)
	w.Note("quiet", "yes")
	w.Note("prompt", fingerprint(text))
	w.Worked("")
}

// fingerprint tells prompts apart.
func fingerprint(v agent.Value) string {
	begin, _ := v.TextUpTo(100)
	return begin + strconv.FormatInt(v.Len(), 10)
}
