// Package droid answers what Factory's Droid did in a session. It reads
// ~/.factory/sessions/<folder>/<id>.jsonl and <id>.settings.json beside it, which
// holds the model, the effort, the autonomy and the tokens of the whole session.
package droid

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// Name is the key of the agent.
const Name = "droid"

// Decoder reads transcripts of Droid.
type Decoder struct{}

// Agent gives the key of the agent.
func (Decoder) Agent() string { return Name }

// Recognises reports whether the transcript is one of Droid.
func (Decoder) Recognises(_ string, head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.HasPrefix(line, []byte(`{"type":"session_start"`))
}

// Read reads the transcript; see agent.Decoder.
func (Decoder) Read(ctx context.Context, src *agent.Source, from agent.State) (agent.Reading, error) {
	set := readSettings(src.Path)
	r, err := agent.ReadLines(ctx, Name, src, from, func(b *agent.Builder, v agent.Value, at agent.Span) string {
		return entry(b, v, at, set)
	})
	if set.Exists() && err == nil {
		for i := range r.Sessions {
			total(&r.Sessions[i], set)
		}
	}
	return r, err
}

// maxSettings is the size of a settings file over which it is not read.
const maxSettings = 1 << 20

// readSettings reads the settings beside a transcript; absent where there are
// none that can be read.
func readSettings(path string) agent.Value {
	name, ok := strings.CutSuffix(path, ".jsonl")
	if !ok {
		return agent.Value{}
	}
	f, err := os.Open(name + ".settings.json")
	if err != nil {
		return agent.Value{}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSettings))
	if err != nil {
		return agent.Value{}
	}
	v, err := agent.ParseValue(text, 0)
	if err != nil {
		return agent.Value{}
	}
	return v
}

// total is what the settings count for the session as a whole.
func total(s *agent.Session, set agent.Value) {
	u := &agent.Usage{}
	tokens := set.Get("tokenUsage")
	tokens.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "inputTokens":
			u.Input = v.Int()
		case "outputTokens":
			u.Output = v.Int()
		case "cacheCreationTokens":
			u.CacheWrite = v.Int()
		case "cacheReadTokens":
			u.CacheRead = v.Int()
		case "thinkingTokens":
			u.Reasoning = v.Int()
		}
	})
	raw, _ := set.Get("model").TextUpTo(256)
	s.Total = &agent.ModelUse{Model: stemma.ParseModel(raw)}
	if tokens.IsObject() {
		s.Total.Usage = u
	}
}

func entry(b *agent.Builder, v agent.Value, at agent.Span, set agent.Value) string {
	kind, _ := v.Get("type").TextUpTo(64)
	if kind == "session_start" {
		start(b, v, set)
		return ""
	}
	w := b.Last()
	if w == nil {
		w = b.Session("")
		w.Gap(agent.GapVanished, "the beginning of the session", agent.Span{Offset: at.Offset})
	}
	when := v.Get("timestamp").Time()
	switch kind {
	case "message":
		return message(b, w, v, when, at)
	case "compaction_state", "compaction":
		w.Compacted(agent.Compaction{Time: when})
	case "todo_state", "session_end":
		w.Around(when)
	default:
		return "an entry of an unknown type"
	}
	return ""
}

func start(b *agent.Builder, v, set agent.Value) {
	w := b.Session(v.Get("id").Text())
	s := w.Head()
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "title":
			s.Title, _ = v.TextUpTo(256)
		case "cwd":
			s.Base.Dir = agent.Path(v)
		case "callingSessionId", "parentSessionId":
			if v.IsString() {
				s.Parent = &agent.Parent{Session: v.Text(), Method: "session_start." + string(name)}
			}
		case "callingToolUseId":
			w.Note("call", v.Text())
		}
	})
	if s.Parent != nil {
		s.Parent.Call = w.Memo("call")
	}
	mode, _ := set.Get("autonomyMode").TextUpTo(64)
	effort, _ := set.Get("reasoningEffort").TextUpTo(64)
	w.SetNext(mode, effort)
	raw, _ := set.Get("model").TextUpTo(256)
	w.SetModel(raw)
}

func message(b *agent.Builder, w *agent.Work, v agent.Value, when time.Time, at agent.Span) string {
	w.Around(when)
	role, _ := v.Get("message", "role").TextUpTo(64)
	content := v.Get("message", "content")
	switch role {
	case "assistant":
		w.Seen(when)
		w.Worked("")
		w.Parts(content, when)
		return ""
	case "user":
	default:
		return "a message of an unknown role"
	}
	var prompt agent.Value
	images := 0
	if content.IsString() {
		prompt = content
	}
	content.Items(func(v agent.Value) {
		switch kind, _ := v.Get("type").TextUpTo(64); kind {
		case "text":
			// What follows the person's own text are files that were mentioned.
			if begin, _ := v.Get("text").TextUpTo(32); !prompt.Exists() && !strings.HasPrefix(begin, "<system-reminder>") {
				prompt = v.Get("text")
			}
		case "image":
			images++
		case "tool_result":
			output := v.Get("content")
			c := w.Ended(v.Get("tool_use_id").Text(), output, v.Get("is_error").True(), when)
			if c != nil && c.Kind == agent.KindEdit {
				if ok := output.Embedded().Get("success"); ok.Exists() && !ok.True() {
					c.Outcome = agent.OutcomeError
				}
			}
		default:
			w.Gap(agent.GapUnknown, "a part of a message of an unknown type", agent.Span{Offset: v.Offset(), Length: v.Len()})
		}
	})
	if prompt.Exists() || images > 0 {
		origin := agent.FromPerson
		if w.Head().Parent != nil && !w.Begun() {
			origin = agent.FromTask
		}
		id, _ := v.Get("id").TextUpTo(256)
		w.Begin(agent.Turn{ID: id, Origin: origin, Start: when, Images: images, At: at, Prompt: b.Text(prompt, agent.MaxText)})
	}
	return ""
}
