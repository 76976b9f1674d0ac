// Package continuedev answers what Continue's agent did in a session. It reads
// ~/.continue/sessions/<id>.json, one document, of the CLI and the editors.
package continuedev

import (
	"bytes"
	"context"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "continue"

// Decoder reads sessions of Continue.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is one of Continue.
func (Decoder) Recognises(_ string, head []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) && bytes.Contains(head, []byte(`"history":`)) &&
		bytes.Contains(head, []byte(`"workspaceDirectory":`))
}

// Read reads the transcript; see agent.Decoder.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	return agent.ReadDocument(ctx, Name, src, from, session)
}

func session(b *agent.Builder, v agent.Value) {
	w := b.Session(v.Get("sessionId").Text())
	s := w.Head()
	var history agent.Value
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "title":
			s.Title, _ = v.TextUpTo(256)
		case "workspaceDirectory":
			s.Base.Dir = agent.Path(v)
		case "mode":
			mode, _ := v.TextUpTo(64)
			w.SetNext(mode, "")
		case "chatModelTitle":
			raw, _ := v.TextUpTo(256)
			w.SetModel(raw)
		case "history":
			history = v
		case "usage":
			s.Total = &agent.ModelUse{Model: w.Model(), Usage: usage(v)}
		}
	})
	history.Items(func(v agent.Value) { item(b, w, v) })
}

// usage is what the tool counts for the session as a whole.
func usage(v agent.Value) *agent.Usage {
	u := &agent.Usage{}
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "promptTokens":
			u.Input = v.Int()
		case "completionTokens":
			u.Output = v.Int()
		case "promptTokensDetails":
			u.CacheRead = v.Get("cachedTokens").Int()
			u.CacheWrite = v.Get("cacheWriteTokens").Int()
		case "totalCost":
			cost := int64(v.Float()*1e6 + 0.5)
			u.Cost = &cost
		}
	})
	return u
}

func item(b *agent.Builder, w *agent.Work, v agent.Value) {
	at := agent.Span{Offset: v.Offset(), Length: v.Len()}
	m := v.Get("message")
	content := m.Get("content")
	switch role, _ := m.Get("role").TextUpTo(64); role {
	case "user":
		prompt := content
		if content.IsArray() {
			prompt = content.First().Get("text")
		}
		w.Begin(agent.Turn{Origin: agent.FromPerson, At: at, Prompt: b.Text(prompt, agent.MaxText)})
		v.Get("contextItems").Items(func(v agent.Value) {
			if uri := v.Get("uri", "value"); uri.IsString() {
				w.Call(agent.Call{Name: "context", Kind: agent.KindRead, Outcome: agent.OutcomeOK, Files: []agent.File{{Path: agent.Path(uri), Access: agent.Read}}})
			}
		})
	case "assistant":
		w.Parts(content, time.Time{})
		v.Get("promptLogs").Items(func(v agent.Value) {
			raw, _ := v.Get("modelTitle").TextUpTo(256)
			if stemma.ParseModel(raw).Known() {
				w.Worked(raw)
			}
		})
		m.Get("toolCalls").Items(func(v agent.Value) {
			name, _ := v.Get("function", "name").TextUpTo(256)
			w.Call(b.NewCall(v.Get("id").Text(), name, v.Get("function", "arguments")))
		})
		v.Get("toolCallStates").Items(func(v agent.Value) { state(w, v) })
	case "thinking":
		w.Turn().Thinking += content.Size()
	case "tool":
		w.Ended(m.Get("toolCallId").Text(), content, false, time.Time{})
	case "system":
	default:
		w.Gap(agent.GapUnknown, "a message of an unknown role", at)
	}
}

// state is what became of a call.
func state(w *agent.Work, v agent.Value) {
	id := v.Get("toolCallId").Text()
	status, _ := v.Get("status").TextUpTo(64)
	switch status {
	case "done", "errored", "canceled", "rejected":
	default:
		return // generated, calling: not ended
	}
	output := v.Get("output")
	c := w.Ended(id, output.First().Get("content"), status == "errored", time.Time{})
	if c == nil {
		return
	}
	switch status {
	case "canceled", "rejected":
		c.Outcome, c.Decision = agent.OutcomeNone, agent.Rejected
	}
}
