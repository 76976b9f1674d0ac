// Package pi answers what the coding agent Pi did in a session. It reads
// ~/.pi/agent/sessions/<folder>/<time>_<id>.jsonl.
//
// A line is an entry of a tree: each names the one that it follows, and a person
// may go back and go on from an earlier one. All branches are read, in the order
// in which they were written: what an abandoned branch did to files, it did.
package pi

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "pi"

// Decoder reads transcripts of Pi.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is one of Pi.
func (Decoder) Recognises(_ string, head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.HasPrefix(line, []byte(`{"type":"session"`)) && bytes.Contains(line, []byte(`"version":`))
}

// Read reads the transcript; see agent.Decoder.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	return agent.ReadLines(ctx, Name, src, from, entry)
}

func entry(b *agent.Builder, v agent.Value, at agent.Span) string {
	kind, _ := v.Get("type").TextUpTo(64)
	when := v.Get("timestamp").Time()
	if kind == "session" {
		session(b, v, when)
		return ""
	}
	w := b.Last()
	if w == nil {
		w = b.Session("")
		w.Gap(agent.GapVanished, "the beginning of the session", agent.Span{Offset: at.Offset})
	}
	switch kind {
	case "message":
		return message(b, w, v, when, at)
	case "model_change":
		raw, _ := v.Get("modelId").TextUpTo(256)
		if provider, _ := v.Get("provider").TextUpTo(64); provider != "" && raw != "" {
			raw = provider + "/" + raw
		}
		w.SetModel(raw)
	case "thinking_level_change":
		effort, _ := v.Get("thinkingLevel").TextUpTo(64)
		w.SetNext("", effort)
	case "compaction", "compactionSummary":
		w.Compacted(agent.Compaction{Time: when, Before: v.Get("tokensBefore").Int()})
	case "session_info":
		w.Head().Title, _ = v.Get("name").TextUpTo(256)
	case "custom", "custom_message", "branchSummary", "branch_summary", "label":
	default:
		return "an entry of an unknown type"
	}
	return ""
}

func session(b *agent.Builder, v agent.Value, when time.Time) {
	w := b.Session(v.Get("id").Text())
	w.Around(when)
	s := w.Head()
	s.Base.Dir = agent.Path(v.Get("cwd"))
	parent := v.Get("parentSession")
	if !parent.IsString() {
		parent = v.Get("branchedFrom")
	}
	if parent.IsString() {
		// The file of the parent, named <time>_<id>.jsonl, or its id.
		id := strings.TrimSuffix(filepath.Base(agent.Path(parent)), ".jsonl")
		if i := strings.LastIndexByte(id, '_'); i >= 0 {
			id = id[i+1:]
		}
		s.Parent = &agent.Parent{Session: id, Fork: true, Method: "session.parentSession"}
	}
}

func message(b *agent.Builder, w *agent.Work, v agent.Value, when time.Time, at agent.Span) string {
	w.Around(when)
	m := v.Get("message")
	role, _ := m.Get("role").TextUpTo(64)
	content := m.Get("content")
	switch role {
	case "user":
		images := 0
		prompt := content
		content.Items(func(v agent.Value) {
			switch kind, _ := v.Get("type").TextUpTo(64); kind {
			case "text":
				if !prompt.IsString() {
					prompt = v.Get("text")
				}
			case "image":
				images++
			}
		})
		id, _ := v.Get("id").TextUpTo(256)
		w.Begin(agent.Turn{ID: id, Origin: agent.FromPerson, Start: when, Images: images, At: at, Prompt: b.Text(prompt, agent.MaxText)})
	case "assistant":
		w.Seen(when)
		assistant(w, m, when)
		w.Parts(content, when)
	case "toolResult":
		w.Ended(m.Get("toolCallId").Text(), content, m.Get("isError").True(), when)
	case "bashExecution":
		// A command that the person ran.
		t := agent.Turn{Origin: agent.FromCommand, Start: when, At: at, Prompt: b.Text(m.Get("command"), agent.MaxShort)}
		w.Begin(t)
	case "custom", "compactionSummary", "branchSummary":
	default:
		return "a message of an unknown role"
	}
	return ""
}

// assistant reads model and usage of a message.
func assistant(w *agent.Work, m agent.Value, when time.Time) {
	raw, _ := m.Get("model").TextUpTo(256)
	if provider, _ := m.Get("provider").TextUpTo(64); provider != "" && raw != "" {
		raw = provider + "/" + raw
	}
	model := w.Worked(raw)
	switch reason, _ := m.Get("stopReason").TextUpTo(64); reason {
	case "aborted":
		w.Turn().Interrupted = true
	case "error":
		w.Turn().Errors++
	}
	usage := m.Get("usage")
	if !usage.IsObject() {
		return
	}
	u := agent.Usage{Requests: 1}
	usage.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "input":
			u.Input = v.Int()
		case "output":
			u.Output = v.Int()
		case "cacheRead":
			u.CacheRead = v.Int()
		case "cacheWrite":
			u.CacheWrite = v.Int()
		case "cost":
			if total := v.Get("total"); total.Exists() {
				cost := int64(total.Float() * 1e6)
				u.Cost = &cost
			}
		}
	})
	w.Use("", model, u)
}
