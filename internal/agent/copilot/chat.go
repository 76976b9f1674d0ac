package copilot

import (
	"strconv"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// session is a chat session of VS Code as one document.
func session(b *agent.Builder, id string, v agent.Value) {
	w := begin(b, id, v)
	v.Get("requests").Items(func(v agent.Value) { request(b, w, v) })
}

// begin reads what a chat session is.
func begin(b *agent.Builder, id string, v agent.Value) *agent.Work {
	if own := v.Get("sessionId"); own.IsString() {
		id = own.Text()
	}
	w := b.Session(id)
	s := w.Head()
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "customTitle":
			s.Title, _ = v.TextUpTo(256)
		case "creationDate":
			w.Around(v.Time())
		case "inputState":
			if model := v.Get("selectedModel", "identifier"); model.IsString() {
				w.SetModel(model.Text())
			}
			if mode := v.Get("mode", "id"); mode.IsString() {
				w.SetNext(mode.Text(), "")
			}
		}
	})
	return w
}

// mutation is one line of a chat session that is kept as changes: kind 0 is the
// whole, 1 sets what is at the path k, 2 adds to the list there.
func mutation(b *agent.Builder, id string, v agent.Value) string {
	value := v.Get("v")
	if kind := v.Get("kind"); kind.Exists() && kind.Int() == 0 {
		session(b, id, value)
		return ""
	}
	w := b.Last()
	if w == nil || !v.Get("kind").Exists() {
		return "an entry of an unknown kind"
	}
	var path []string
	v.Get("k").Items(func(v agent.Value) {
		if v.IsString() {
			path = append(path, v.Text())
		} else {
			path = append(path, strconv.FormatInt(v.Int(), 10))
		}
	})
	switch {
	case len(path) == 1 && path[0] == "requests":
		value.Items(func(v agent.Value) { request(b, w, v) })
	case len(path) == 1 && path[0] == "customTitle":
		w.Head().Title, _ = value.TextUpTo(256)
	case len(path) == 3 && path[0] == "inputState" && path[1] == "selectedModel", len(path) == 2 && path[0] == "inputState" && path[1] == "selectedModel":
		if model := value.Get("identifier"); model.IsString() {
			w.SetModel(model.Text())
		}
	case len(path) == 3 && path[0] == "requests":
		if n, err := strconv.Atoi(path[1]); err == nil && strconv.Itoa(n) == w.Memo("requests") {
			part(b, w, path[2], value) // of the last request
		} else {
			w.Gap(agent.GapUnknown, "a change of an earlier request", agent.Span{Offset: v.Offset(), Length: v.Len()})
		}
	}
	return ""
}

// request is a prompt and what came of it.
func request(b *agent.Builder, w *agent.Work, v agent.Value) {
	n, err := strconv.Atoi(w.Memo("requests"))
	if err != nil {
		n = -1
	}
	w.Note("requests", strconv.Itoa(n+1))
	id, _ := v.Get("requestId").TextUpTo(256)
	text := v.Get("message", "text")
	if !text.Exists() {
		text = v.Get("message")
	}
	w.Begin(agent.Turn{
		ID: id, Origin: agent.FromPerson, Start: v.Get("timestamp").Time(),
		At: agent.Span{Offset: v.Offset(), Length: v.Len()}, Prompt: b.Text(text, agent.MaxText),
	})
	if version := v.Get("agent", "extensionVersion"); version.IsString() {
		w.Head().Version, _ = version.TextUpTo(64)
	}
	// The result has the calls with their input; the response has their decisions.
	for _, name := range []string{"modelId", "variableData", "result", "response", "isCanceled"} {
		part(b, w, name, v.Get(name))
	}
	worked(w, v)
}

// worked tells the model of a request: the one that answered, where the person
// left the choice to Copilot; else the one that was asked for.
func worked(w *agent.Work, v agent.Value) {
	asked, _ := v.Get("modelId").TextUpTo(256)
	if stemma.ParseModel(asked).Known() {
		w.Worked(asked)
		return
	}
	// "Claude Sonnet 4.5 • 0.9x" is the model's name and what it costs.
	details, _ := v.Get("result", "details").TextUpTo(256)
	name, _, _ := strings.Cut(details, " • ")
	if m := stemma.ModelFromDisplayName(name); m.Known() {
		w.Worked(name)
		return
	}
	w.Worked("")
}

func part(b *agent.Builder, w *agent.Work, name string, v agent.Value) {
	switch name {
	case "variableData":
		v.Get("variables").Items(func(v agent.Value) {
			if kind, _ := v.Get("kind").TextUpTo(64); kind != "file" {
				return
			}
			path := v.Get("value", "fsPath")
			if !path.Exists() {
				path = v.Get("value", "uri", "fsPath")
			}
			if path.IsString() {
				w.Call(agent.Call{Name: "context", Kind: agent.KindRead, Outcome: agent.OutcomeOK, Files: []agent.File{{Path: agent.Path(path), Access: agent.Read}}})
			}
		})
	case "result":
		result(b, w, v)
	case "response":
		response(w, v)
	case "isCanceled":
		if v.True() {
			w.Turn().Interrupted = true
		}
	}
}

// result has the rounds of calls, with their input and results.
func result(b *agent.Builder, w *agent.Work, v agent.Value) {
	if v.Get("errorDetails").Exists() {
		w.Turn().Errors++
	}
	if ms := v.Get("timings", "totalElapsed").Int(); ms > 0 && !w.Turn().Start.IsZero() && ms < 1<<40 {
		w.Seen(w.Turn().Start.Add(time.Duration(ms) * time.Millisecond))
	}
	meta := v.Get("metadata")
	meta.Get("toolCallRounds").Items(func(v agent.Value) {
		w.Answer(v.Get("response"))
		w.Turn().Thinking += v.Get("thinking", "text").Size()
		v.Get("toolCalls").Items(func(v agent.Value) {
			w.Call(b.NewCall(v.Get("id").Text(), v.Get("name").Text(), v.Get("arguments")))
		})
	})
	meta.Get("toolCallResults").Each(func(name []byte, v agent.Value) {
		content := v.Get("content")
		if c := w.Result(string(name), time.Time{}, agent.Span{Offset: content.Offset(), Length: content.Len()}); c != nil {
			c.Ran("", v.Get("isError").True(), nil)
		}
	})
	if usage := v.Get("usage"); usage.IsObject() {
		w.Use("", w.Model(), agent.Usage{Requests: 1, Input: usage.Get("promptTokens").Int(), Output: usage.Get("completionTokens").Int()})
	}
}

// response is what the person was shown. It names calls by other ids than the
// result does.
func response(w *agent.Work, v agent.Value) {
	v.Items(func(v agent.Value) {
		kind := v.Get("kind")
		if !kind.Exists() && v.Get("value").IsString() && w.Turn().Answer == nil {
			w.Answer(v.Get("value"))
		}
	})
}
