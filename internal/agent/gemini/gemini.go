// Package gemini answers what Gemini CLI did in a session. It reads
// ~/.gemini/tmp/<project>/chats/session-*.jsonl, and the session-*.json of older
// versions, which is one document with the same messages.
package gemini

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "gemini-cli"

// Decoder reads transcripts of Gemini CLI.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is one of Gemini CLI.
func (Decoder) Recognises(path string, head []byte) bool {
	if strings.Contains(filepath.ToSlash(path), "/.gemini/tmp/") && strings.HasPrefix(filepath.Base(path), "session-") {
		return true
	}
	if document(head) {
		return bytes.Contains(head, []byte(`"sessionId"`)) && bytes.Contains(head, []byte(`"messages"`)) && bytes.Contains(head, []byte(`"projectHash"`))
	}
	return bytes.Contains(head, []byte(`"type":"gemini"`)) || bytes.HasPrefix(head, []byte(`{"sessionId":`)) && bytes.Contains(head, []byte(`"projectHash":`))
}

// document reports whether a transcript is one document and not lines.
func document(head []byte) bool {
	line, rest, more := bytes.Cut(bytes.TrimSpace(head), []byte("\n"))
	if !more || len(rest) == 0 {
		return bytes.Contains(line, []byte(`"messages":`))
	}
	return bytes.Equal(bytes.TrimSpace(line), []byte("{")) || bytes.Contains(line, []byte(`"messages":[{`))
}

// Read reads the transcript; see agent.Decoder.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	head := make([]byte, 4<<10)
	if src.Body != nil {
		n, _ := src.Body.ReadAt(head, 0)
		head = head[:n]
	}
	if document(head) {
		return agent.ReadDocument(ctx, Name, src, from, func(b *agent.Builder, v agent.Value) {
			w := meta(b, v)
			v.Get("messages").Items(func(v agent.Value) {
				at := agent.Span{Offset: v.Offset(), Length: v.Len()}
				if reason := message(b, w, v, at); reason != "" {
					w.Gap(agent.GapUnknown, reason, at)
				}
			})
		})
	}
	id := ""
	if src.Path != "" {
		id = strings.TrimSuffix(filepath.Base(src.Path), filepath.Ext(src.Path))
	}
	return agent.ReadLines(ctx, Name, src, from, func(b *agent.Builder, v agent.Value, at agent.Span) string {
		if v.Get("sessionId").IsString() && !v.Get("type").Exists() {
			meta(b, v)
			return ""
		}
		w := b.Last()
		if w == nil {
			w = b.Session(id)
		}
		if set := v.Get("$set"); set.Exists() {
			w.Around(set.Get("lastUpdated").Time())
			title(w, set)
			return ""
		}
		return message(b, w, v, at)
	})
}

// meta is what the session is.
func meta(b *agent.Builder, v agent.Value) *agent.Work {
	w := b.Session(v.Get("sessionId").Text())
	w.Around(v.Get("startTime").Time())
	w.Around(v.Get("lastUpdated").Time())
	title(w, v)
	if kind, _ := v.Get("kind").TextUpTo(64); kind == "subagent" {
		w.Note("subagent", "yes")
	}
	if dirs := v.Get("directories"); dirs.IsArray() && w.Head().Base.Dir == "" {
		w.Head().Base.Dir = agent.Path(dirs.First())
	}
	return w
}

func title(w *agent.Work, v agent.Value) {
	if s := v.Get("summary"); s.IsString() {
		w.Head().Title, _ = s.TextUpTo(256)
	}
}

func message(b *agent.Builder, w *agent.Work, v agent.Value, at agent.Span) string {
	var kind, id, raw string
	var when time.Time
	var content, tokens, calls, thoughts agent.Value
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "type":
			kind, _ = v.TextUpTo(64)
		case "id":
			id, _ = v.TextUpTo(256)
		case "timestamp":
			when = v.Time()
		case "content":
			content = v
		case "model":
			raw, _ = v.TextUpTo(256)
		case "tokens":
			tokens = v
		case "toolCalls":
			calls = v
		case "thoughts":
			thoughts = v
		}
	})
	w.Around(when)
	switch kind {
	case "user":
		if id != "" && w.Memo("prompt") == id {
			return "" // a message is written again when it changes
		}
		w.Note("prompt", id)
		prompt(b, w, id, content, when, at)
	case "gemini":
		w.Seen(when)
		again := id != "" && w.Memo("answer") == id
		w.Note("answer", id)
		model := w.Worked(raw)
		if tokens.IsObject() {
			w.Use(id, model, usage(tokens))
		}
		if content.IsString() {
			w.Answer(content)
		}
		content.Items(func(v agent.Value) { w.Answer(v.Get("text")) })
		if !again {
			thoughts.Items(func(v agent.Value) { w.Turn().Thinking += v.Get("description").Size() })
		}
		calls.Items(func(v agent.Value) { call(b, w, v, when) })
	case "info", "warning":
	case "error":
		if w.Begun() {
			w.Turn().Errors++
		}
	case "compression":
		w.Compacted(agent.Compaction{Time: when})
	case "":
		return "an entry without a type"
	default:
		return "an entry of an unknown type"
	}
	return ""
}

func prompt(b *agent.Builder, w *agent.Work, id string, content agent.Value, when time.Time, at agent.Span) {
	text := content
	images := 0
	content.Items(func(v agent.Value) {
		switch {
		case v.Get("text").IsString():
			if !text.IsString() {
				text = v.Get("text")
			}
		case v.Get("inlineData").Exists():
			images++
		}
	})
	t := agent.Turn{ID: id, Origin: agent.FromPerson, Start: when, Images: images, At: at}
	switch begin, _ := text.TextUpTo(64); {
	case begin == "System: Please continue.":
		t.Origin = agent.FromTool
	case strings.HasPrefix(begin, "/"):
		t.Origin = agent.FromCommand
	case w.Memo("subagent") != "" && !w.Begun():
		t.Origin = agent.FromTask
	}
	t.Prompt = b.Text(text, agent.MaxText)
	w.Begin(t)
}

// usage reads the counts of one message. Those of the prompt hold what came from
// the cache.
func usage(v agent.Value) agent.Usage {
	u := agent.Usage{Requests: 1}
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "input":
			u.Input = v.Int()
		case "output":
			u.Output = v.Int()
		case "cached":
			u.CacheRead = v.Int()
		case "thoughts":
			u.Reasoning = v.Int()
		}
	})
	u.Input = max(0, u.Input-u.CacheRead)
	u.Output += u.Reasoning
	return u
}

func call(b *agent.Builder, w *agent.Work, v agent.Value, when time.Time) {
	var id, name, status, agentID string
	var args, result, display agent.Value
	v.Each(func(key []byte, v agent.Value) {
		switch string(key) {
		case "id":
			id, _ = v.TextUpTo(agent.MaxShort)
		case "name":
			name, _ = v.TextUpTo(256)
		case "status":
			status, _ = v.TextUpTo(64)
		case "args":
			args = v
		case "result":
			result = v
		case "resultDisplay":
			display = v
		case "agentId":
			agentID, _ = v.TextUpTo(agent.MaxShort)
		case "timestamp":
			when = v.Time()
		}
	})
	c := b.NewCall(id, name, args)
	c.Start = when
	if agentID != "" {
		c.Kind = agent.KindSpawn
		if c.Spawn == nil {
			c.Spawn = &agent.Spawn{}
		}
		c.Spawn.Session = agentID
	}
	w.Call(c)
	switch status {
	case "success", "error", "cancelled":
	default:
		return // not ended
	}
	response := result.First().Get("functionResponse", "response")
	output := response.Get("output")
	if !output.Exists() {
		output = response.Get("error")
	}
	ended := w.Ended(id, output, status == "error", when)
	if ended == nil {
		return
	}
	if status == "cancelled" {
		ended.Outcome, ended.Decision = agent.OutcomeNone, agent.Rejected
	}
	stat := display.Get("diffStat")
	if stat.IsObject() && len(ended.Files) == 1 {
		ended.Files[0].Added = int(stat.Get("model_added_lines").Int())
		ended.Files[0].Removed = int(stat.Get("model_removed_lines").Int())
		if stat.Get("user_added_lines").Int()+stat.Get("user_removed_lines").Int() > 0 {
			ended.Decision = agent.Edited
		}
	}
}
