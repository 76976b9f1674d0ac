// Package amp answers what Amp did in a session (a thread, in its own words). It
// reads ~/.local/share/amp/threads/T-<id>.json, one document.
package amp

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "amp"

// Decoder reads threads of Amp.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is one of Amp.
func (Decoder) Recognises(_ string, head []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) && bytes.Contains(head, []byte(`"T-`)) && bytes.Contains(head, []byte(`"messages":`))
}

// Read reads the transcript; see agent.Decoder.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	return agent.ReadDocument(ctx, Name, src, from, thread)
}

func thread(b *agent.Builder, v agent.Value) {
	w := b.Session(v.Get("id").Text())
	s := w.Head()
	var messages agent.Value
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "title":
			s.Title, _ = v.TextUpTo(256)
		case "created":
			w.Around(v.Time())
		case "agentMode":
			effort, _ := v.TextUpTo(64)
			w.SetNext("", effort)
		case "messages":
			messages = v
		case "mainThreadID", "forkedFromThreadID":
			if v.IsString() {
				s.Parent = &agent.Parent{Session: v.Text(), Fork: string(name)[0] == 'f', Method: "thread." + string(name)}
			}
		case "env":
			base(s, v.Get("initial"))
		}
	})
	messages.Items(func(v agent.Value) { message(b, w, v) })
}

func base(s *agent.Session, env agent.Value) {
	s.Version, _ = env.Get("platform", "clientVersion").TextUpTo(64)
	tree := env.Get("trees").First()
	s.Base.Dir = agent.Path(tree.Get("uri"))
	tree.Get("repository").Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "url":
			s.Base.Repository, _ = v.TextUpTo(agent.MaxShort)
		case "ref":
			ref, _ := v.TextUpTo(agent.MaxShort)
			s.Base.Branch = strings.TrimPrefix(ref, "refs/heads/")
		case "sha":
			s.Base.Commit, _ = v.TextUpTo(64)
		}
	})
}

func message(b *agent.Builder, w *agent.Work, v agent.Value) {
	at := agent.Span{Offset: v.Offset(), Length: v.Len()}
	var role, mode string
	var content, usage, state agent.Value
	var sent time.Time
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "role":
			role, _ = v.TextUpTo(64)
		case "content":
			content = v
		case "usage":
			usage = v
		case "agentMode":
			mode, _ = v.TextUpTo(64)
		case "meta":
			sent = v.Get("sentAt").Time()
		case "state":
			state = v
		}
	})
	switch role {
	case "user":
		var prompt agent.Value
		images := 0
		content.Items(func(v agent.Value) {
			switch kind, _ := v.Get("type").TextUpTo(64); kind {
			case "text":
				if !prompt.Exists() {
					prompt = v.Get("text")
				}
			case "image":
				images++
			case "tool_result":
				result(b, w, v)
			}
		})
		if prompt.Exists() || images > 0 {
			w.Begin(agent.Turn{Origin: agent.FromPerson, Start: sent, Effort: mode, Images: images, At: at, Prompt: b.Text(prompt, agent.MaxText)})
		}
	case "assistant":
		when := usage.Get("timestamp").Time()
		w.Seen(when)
		tokens(w, usage)
		w.Parts(content, when)
		if kind, _ := state.Get("type").TextUpTo(64); kind == "cancelled" {
			w.Turn().Interrupted = true
		}
	default:
		w.Gap(agent.GapUnknown, "a message of an unknown role", at)
	}
}

func tokens(w *agent.Work, usage agent.Value) {
	if !usage.IsObject() {
		return
	}
	raw := ""
	u := agent.Usage{Requests: 1}
	usage.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "model":
			raw, _ = v.TextUpTo(256)
		case "inputTokens":
			u.Input = v.Int()
		case "outputTokens":
			u.Output = v.Int()
		case "cacheCreationInputTokens":
			u.CacheWrite = v.Int()
		case "cacheReadInputTokens":
			u.CacheRead = v.Int()
		}
	})
	w.Use("", w.Worked(raw), u)
}

func result(b *agent.Builder, w *agent.Work, v agent.Value) {
	run := v.Get("run")
	output := run.Get("result")
	status, _ := run.Get("status").TextUpTo(64)
	c := w.Result(v.Get("toolUseID").Text(), time.Time{}, agent.Span{Offset: output.Offset(), Length: output.Len()})
	if c == nil {
		return
	}
	switch status {
	case "done":
		var exit *int
		if code := output.Get("exitCode"); code.Exists() {
			n := int(code.Int())
			exit = &n
		}
		text := ""
		if c.Test != nil {
			text = output.Get("output").Text()
		}
		c.Ran(text, false, exit)
		if c.Spawn != nil {
			c.Spawn.Result = b.Text(output, agent.MaxText)
		}
	case "error":
		c.Outcome = agent.OutcomeError
		c.Error = b.Text(run.Get("error", "message"), 1024)
	case "rejected-by-user":
		c.Outcome, c.Decision = agent.OutcomeNone, agent.Rejected
		if reason := run.Get("reason"); reason.IsString() {
			c.Decision, c.Said = agent.Redirected, b.Text(reason, agent.MaxShort)
		}
	case "cancelled":
		c.Outcome = agent.OutcomeNone
	}
}
