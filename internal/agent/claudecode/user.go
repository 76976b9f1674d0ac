package claudecode

import (
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma/internal/agent"
)

// What Claude Code writes as the result of a call that the person turned down.
const (
	rejected    = "The user doesn't want to proceed with this tool use."
	userSaid    = "the user said:\n"
	interrupted = "[Request interrupted by user"
)

// user is a prompt, results of tools, or what the tool puts between.
func user(b *agent.Builder, w *agent.Work, l *line, at agent.Span) {
	if l.mode != "" {
		w.SetMode(l.mode)
	}
	content := l.message.Get("content")
	if l.compact {
		return // the summary that takes the place of what was compacted
	}
	if content.IsString() {
		prompt(b, w, l, content, 0, at)
		return
	}
	var first agent.Value
	images := 0
	content.Items(func(v agent.Value) {
		var kind, id string
		var text, output agent.Value
		failed := false
		v.Each(func(name []byte, v agent.Value) {
			switch string(name) {
			case "type":
				kind, _ = v.TextUpTo(64)
			case "text":
				text = v
			case "tool_use_id":
				id, _ = v.TextUpTo(agent.MaxShort)
			case "content":
				output = v
			case "is_error":
				failed = v.True()
			}
		})
		switch kind {
		case "text":
			if !first.Exists() {
				first = text
			}
		case "image":
			images++
		case "document":
		case "tool_result":
			result(b, w, l, id, output, failed, agent.Span{Offset: v.Offset(), Length: v.Len()})
		default:
			w.Gap(agent.GapUnknown, "a part of a message of an unknown type", agent.Span{Offset: v.Offset(), Length: v.Len()})
		}
	})
	if first.Exists() || images > 0 {
		prompt(b, w, l, first, images, at)
	}
}

// prompt begins a turn, unless the text is the tool's own.
func prompt(b *agent.Builder, w *agent.Work, l *line, text agent.Value, images int, at agent.Span) {
	begin, _ := text.TextUpTo(128)
	if strings.HasPrefix(begin, interrupted) {
		w.Turn().Interrupted = true
		return
	}
	t := agent.Turn{ID: l.uuid, Origin: agent.FromPerson, Start: l.time, Images: images, At: at}
	switch {
	case fromPeer(begin) && w.Head().Team != nil && w.Head().Team.Member != "" && !w.Begun():
		t.Origin = agent.FromTask // what a member of a team begins with
	case fromPeer(begin):
		t.Origin = agent.FromPeer
	case w.Head().Parent != nil && !w.Begun():
		t.Origin = agent.FromTask
	case l.sidechain:
		return // what the tool tells a sub-agent while it works
	case l.meta, strings.HasPrefix(begin, "<local-command-"), strings.HasPrefix(begin, "<bash-stdout>"),
		strings.HasPrefix(begin, "<system-reminder>"), strings.HasPrefix(begin, "Caveat: The messages below"):
		return
	case strings.HasPrefix(begin, "<command-name>"), strings.HasPrefix(begin, "<command-message>"), strings.HasPrefix(begin, "<bash-input>"):
		t.Origin = agent.FromCommand
	case strings.HasPrefix(begin, "<task-notification>"):
		t.Origin = agent.FromTool
	}
	t.Prompt = b.Text(text, agent.MaxText)
	w.Begin(t)
	if t.Origin == agent.FromPeer {
		received(b, w, l, t.Prompt)
	}
}

// result is the result of a call.
func result(b *agent.Builder, w *agent.Work, l *line, id string, output agent.Value, failed bool, at agent.Span) {
	c := w.Result(id, l.time, at)
	if c == nil {
		return
	}
	w.Seen(l.time)
	text := resultText(output, c.Test != nil || failed || c.Kind == agent.KindSpawn)
	switch {
	case failed && strings.HasPrefix(text, rejected):
		c.Outcome, c.Decision = agent.OutcomeNone, agent.Rejected
		if _, said, ok := strings.Cut(text, userSaid); ok {
			c.Decision, c.Said = agent.Redirected, b.String(said, agent.MaxShort)
		}
		return
	case failed && strings.HasPrefix(text, interrupted):
		c.Outcome, c.Decision = agent.OutcomeNone, agent.Rejected
		return
	case c.Kind == agent.KindRun:
		exit := 0
		known := !failed
		if code, ok := strings.CutPrefix(text, "Exit code "); ok && failed {
			digits, _, _ := strings.Cut(code, "\n")
			n, err := strconv.Atoi(strings.TrimSpace(digits))
			exit, known = n, err == nil
		}
		if l.result.Get("interrupted").True() || l.result.Get("backgroundTaskId").Exists() {
			known = false
		}
		if known {
			c.Ran(text, failed, &exit)
		} else {
			c.Ran(text, failed, nil)
		}
	default:
		c.Outcome = agent.OutcomeOK
		if failed {
			c.Outcome = agent.OutcomeError
		}
	}
	if failed {
		c.Error = b.String(text, 1024)
	}
	details(b, w, l, c, text)
	if c.Decision == "" && c.Outcome == agent.OutcomeOK && automatic(w.Mode(), c.Kind) {
		c.Decision = agent.Automatic
	}
}

// automatic reports whether a permission mode allows this kind of call without
// asking.
func automatic(mode string, kind agent.Kind) bool {
	return mode == "bypassPermissions" || mode == "acceptEdits" && kind == agent.KindEdit
}

// resultText gives the text of a result, or nothing where nobody needs it.
func resultText(output agent.Value, needed bool) string {
	if !needed {
		return ""
	}
	if output.IsString() {
		return output.Text()
	}
	var all strings.Builder
	output.Items(func(v agent.Value) {
		if text := v.Get("text"); text.IsString() {
			all.WriteString(text.Text())
		}
	})
	return all.String()
}

// details reads what the tool keeps of a result beside the text that the model
// was shown.
func details(b *agent.Builder, w *agent.Work, l *line, c *agent.Call, text string) {
	var status, child, kind, path, team, name string
	var tokens int64
	var patch agent.Value
	edited, answered := false, false
	l.result.Each(func(key []byte, v agent.Value) {
		switch string(key) {
		case "userModified":
			edited = v.True()
		case "structuredPatch":
			patch = v
		case "filePath":
			path = agent.Path(v)
		case "type":
			kind, _ = v.TextUpTo(64)
		case "status":
			status, _ = v.TextUpTo(64)
		case "agentId":
			child, _ = v.TextUpTo(256)
		case "totalTokens":
			tokens = v.Int()
		case "team_name":
			team, _ = v.TextUpTo(256)
		case "name":
			name, _ = v.TextUpTo(256)
		case "answers", "plan":
			answered = v.Exists()
		}
	})
	switch c.Kind {
	case agent.KindEdit:
		if edited {
			c.Decision = agent.Edited
		}
		lines(c, path, kind, patch)
	case agent.KindAsk:
		if answered && c.Outcome == agent.OutcomeOK {
			c.Decision = agent.Accepted
			c.Said = b.Text(l.message.Get("content").First().Get("content"), agent.MaxShort)
		}
	case agent.KindSpawn:
		if c.Spawn == nil {
			c.Spawn = &agent.Spawn{}
		}
		if child != "" {
			c.Spawn.Session = SubagentID(w.Head().ID, child)
		}
		if status == "teammate_spawned" {
			c.Spawn.Team, c.Spawn.Member = team, name
		}
		c.Spawn.Status, c.Spawn.Tokens = status, tokens
		c.Spawn.Result = b.String(text, agent.MaxText)
	}
}

// lines counts what an edit really changed, from the patch that the tool made.
func lines(c *agent.Call, path, kind string, patch agent.Value) {
	if len(c.Files) != 1 || c.Outcome != agent.OutcomeOK || path != "" && path != c.Files[0].Path {
		return
	}
	f := &c.Files[0]
	if kind == "create" {
		f.Access = agent.Create
		return
	}
	if !patch.IsArray() {
		return
	}
	added, removed, some := 0, 0, false
	patch.Items(func(hunk agent.Value) {
		hunk.Get("lines").Items(func(line agent.Value) {
			some = true
			switch head, _ := line.TextUpTo(1); head {
			case "+":
				added++
			case "-":
				removed++
			}
		})
	})
	if some {
		f.Added, f.Removed = added, removed
	}
}
