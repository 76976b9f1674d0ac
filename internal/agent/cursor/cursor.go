// Package cursor answers what Cursor's agent did in a session. It reads the
// transcripts of ~/.cursor/projects/<folder>/agent-transcripts/<id>.jsonl, or
// <id>/<id>.jsonl, that the editor and the CLI keep.
//
// A line is {role, message: {content}}. There are no times, no models, no ids
// and no results of calls: those come with Cursor's hooks only.
package cursor

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "cursor"

// Decoder reads transcripts of Cursor.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is one of Cursor.
func (Decoder) Recognises(path string, head []byte) bool {
	if strings.Contains(filepath.ToSlash(path), "/agent-transcripts/") && strings.HasSuffix(path, ".jsonl") {
		return true
	}
	return bytes.HasPrefix(head, []byte(`{"role":"`)) && bytes.Contains(head, []byte(`"message":{"content":[`))
}

// Read reads the transcript; see agent.Decoder. The session's id is the name of
// the file.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	id, parent := place(src.Path)
	return agent.ReadLines(ctx, Name, src, from, func(b *agent.Builder, v agent.Value, at agent.Span) string {
		w := b.Session(id)
		if parent != "" {
			w.Head().Parent = &agent.Parent{Session: parent, Method: "sub-agent file"}
		}
		return entry(b, w, v, at)
	})
}

// place tells a session's id, and that of its parent, from where it lies.
func place(path string) (id, parent string) {
	if path == "" {
		return "", ""
	}
	id = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if dir := filepath.Dir(path); filepath.Base(dir) == "subagents" {
		parent = filepath.Base(filepath.Dir(dir))
	}
	return id, parent
}

// omitted is what Cursor writes where it leaves something out.
const omitted = "[REDACTED]"

func entry(b *agent.Builder, w *agent.Work, v agent.Value, at agent.Span) string {
	role, _ := v.Get("role").TextUpTo(64)
	content := v.Get("message", "content")
	switch role {
	case "user":
		var text strings.Builder
		images := 0
		results := false
		content.Items(func(v agent.Value) {
			switch kind, _ := v.Get("type").TextUpTo(64); kind {
			case "text":
				text.WriteString(v.Get("text").Text())
			case "image":
				images++
			case "tool_result":
				results = true
				w.Ended(v.Get("tool_use_id").Text(), v.Get("content"), v.Get("is_error").True(), time.Time{})
			}
		})
		if content.IsString() {
			text.WriteString(content.Text())
		}
		if results && text.Len() == 0 {
			return ""
		}
		t := agent.Turn{Origin: agent.FromPerson, Images: images, At: at, Prompt: b.String(query(text.String()), agent.MaxText)}
		if w.Head().Parent != nil && !w.Begun() {
			t.Origin = agent.FromTask
		}
		w.Begin(t)
	case "assistant":
		w.Turn()
		content.Items(func(v agent.Value) {
			if text, _ := v.Get("text").TextUpTo(agent.MaxText); strings.HasSuffix(text, omitted) {
				w.Gap(agent.GapTruncated, "a text that the tool left out", agent.Span{Offset: v.Offset(), Length: v.Len()})
			}
		})
		before := w.Turn().Answer
		w.Parts(content, time.Time{})
		if a := w.Turn().Answer; a != nil && strings.TrimSpace(a.Text) == omitted {
			w.Turn().Answer = before
		}
	default:
		return "an entry of an unknown role"
	}
	return ""
}

// query is what the person wrote, without what the editor puts around it.
func query(text string) string {
	_, rest, ok := strings.Cut(text, "<user_query>")
	if !ok {
		return strings.TrimSpace(text)
	}
	inner, _, _ := strings.Cut(rest, "</user_query>")
	return strings.TrimSpace(inner)
}
