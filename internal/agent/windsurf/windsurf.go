// Package windsurf answers what Windsurf's Cascade did in a session. It reads
// the transcripts of ~/.windsurf/transcripts/<trajectory>.jsonl that Cascade's
// hooks are given.
//
// A line is a step: {type, status, <type>: {...}}. There are no times, models or
// tokens.
package windsurf

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "windsurf"

// Decoder reads transcripts of Windsurf.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is one of Windsurf.
func (Decoder) Recognises(path string, head []byte) bool {
	if strings.Contains(filepath.ToSlash(path), "/.windsurf/transcripts/") && strings.HasSuffix(path, ".jsonl") {
		return true
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.Contains(line, []byte(`"status":`)) && (bytes.Contains(line, []byte(`"user_input":`)) || bytes.Contains(line, []byte(`"planner_response":`)))
}

// Read reads the transcript; see agent.Decoder. The session's id is the name of
// the file.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	id := ""
	if src.Path != "" {
		id = strings.TrimSuffix(filepath.Base(src.Path), filepath.Ext(src.Path))
	}
	return agent.ReadLines(ctx, Name, src, from, func(b *agent.Builder, v agent.Value, at agent.Span) string {
		return entry(b, b.Session(id), v, at)
	})
}

func entry(b *agent.Builder, w *agent.Work, v agent.Value, at agent.Span) string {
	kind, _ := v.Get("type").TextUpTo(64)
	status, _ := v.Get("status").TextUpTo(64)
	step := v.Get(kind)
	switch kind {
	case "user_input":
		w.Begin(agent.Turn{Origin: agent.FromPerson, At: at, Prompt: b.Text(step.Get("user_response"), agent.MaxText)})
	case "planner_response":
		w.Answer(step.Get("response"))
		w.Turn().Thinking += step.Get("thinking").Size()
	case "":
		return "an entry without a type"
	case "ephemeral_message", "checkpoint", "retrieve_memory", "memory", "proposal", "suggested_responses", "error_message":
	default:
		if !step.IsObject() || status == "" {
			return "a step of an unknown type"
		}
		call(b, w, kind, status, step)
	}
	return ""
}

// call is a step that does something. Its result stands in the step itself.
func call(b *agent.Builder, w *agent.Work, kind, status string, step agent.Value) {
	c := b.NewCall("", kind, step)
	c.Output = step.Len()
	if dir := step.Get("cwd"); dir.IsString() && w.Head().Base.Dir == "" {
		w.Head().Base.Dir = agent.Path(dir)
	}
	switch status {
	case "done":
		c.Outcome = agent.OutcomeOK
	case "error":
		c.Outcome = agent.OutcomeError
	case "cancelled", "canceled":
		c.Outcome = agent.OutcomeNone
	}
	if c.Kind == agent.KindRun {
		var exit *int
		if code := step.Get("exit_code"); code.Exists() {
			n := int(code.Int())
			exit = &n
		}
		output := ""
		if c.Test != nil {
			output = step.Get("output").Text()
		}
		c.Ran(output, status == "error", exit)
		if turned := step.Get("user_rejected"); turned.True() {
			c.Outcome, c.Decision = agent.OutcomeNone, agent.Rejected
		}
	}
	switch ack, _ := step.Get("acknowledgement_type").TextUpTo(64); ack {
	case "ACKNOWLEDGEMENT_TYPE_ACCEPT":
		c.Decision = agent.Accepted
	case "ACKNOWLEDGEMENT_TYPE_REJECT":
		c.Decision = agent.Rejected
	}
	w.Call(c)
}
