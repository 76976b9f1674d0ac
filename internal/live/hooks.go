package live

import (
	"cmp"
	"strings"
	"time"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/spool"
)

// This file answers what a session did, from what its agent told its hooks:
// prompts, calls of tools with how they ended, models, the beginning and the end.
// What a hook is not told, such as tokens, stays empty. The payloads are those of
// package spool, which names the source of each field.

// readHooks gives what the records tell of their sessions, in the order in which
// they are given. from is the State of the reading before; all records of one
// sequence of readings are of one agent.
func readHooks(agentKey string, records []spool.Record, from agent.State) agent.Reading {
	b := agent.NewBuilder(agentKey, from)
	for _, r := range records {
		if r.Session != "" {
			take(b, r)
		}
	}
	reading := b.Reading()
	reading.Entries = len(records)
	reading.State.Readings = from.Readings + 1
	return reading
}

// ends reports whether an event is the end of its session: not of a turn.
func ends(r spool.Record) bool {
	e := strings.ToLower(strings.ReplaceAll(r.Event, "_", ""))
	return r.Phase == spool.Stop && (strings.HasSuffix(e, "sessionend") || strings.HasSuffix(e, "subagentstop") || r.Agent == "generic" && e == "stop")
}

// payload is what is read of what an agent told its hook.
type payload struct {
	prompt, answer, mode, role, model agent.Value
	input, response                   agent.Value
	failed                            bool
	transcript, agentTranscript       string
}

// readPayload takes the fields out of a payload, of whatever agent; one that is no
// JSON has none.
func readPayload(text []byte) payload {
	var p payload
	v, err := agent.ParseValue(text, 0)
	if err != nil {
		return p
	}
	p.members(v)
	return p
}

func (p *payload) members(v agent.Value) {
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "stemma": // generic
			p.members(v)
		case "prompt", "user_prompt", "task":
			p.prompt = v
		case "answer", "last_assistant_message", "prompt_response", "response", "text":
			p.answer = v
		case "permission_mode":
			p.mode = v
		case "agent_type", "subagent_type", "role":
			p.role = v
		case "model", "subagent_model":
			p.model = v
		case "tool_input", "toolArgs", "input":
			p.input = v
		case "tool_info": // Windsurf: the input of a tool, and what is said
			p.input = v
			p.prompt, p.answer = v.Get("user_prompt"), v.Get("response")
		case "tool_response", "tool_output", "toolResult", "result_json", "tool_result", "output":
			p.response = v
		case "error", "error_message":
			p.failed = p.failed || v.Exists()
		case "outcome": // generic: "ok" or "error"
			p.failed = v.Text() == "error"
		case "transcript_path", "transcriptPath":
			p.transcript = agent.Path(v)
		case "agent_transcript_path":
			p.agentTranscript = agent.Path(v)
		}
	})
}

// transcripts gives the transcripts that a payload names: that of the session
// which it comes from, and that of the sub-agent which it speaks of.
func transcripts(r spool.Record) (own, subagent string) {
	p := readPayload(r.Payload)
	return p.transcript, p.agentTranscript
}

// take adds one event.
func take(b *agent.Builder, r spool.Record) {
	w := b.Session(r.Session)
	s := w.Head()
	w.Around(r.Time)
	if s.Base.Dir == "" {
		s.Base.Dir = cmp.Or(r.Tree, r.Dir)
	}
	p := readPayload(r.Payload)
	spawned(s, r, short(p.role))
	if model := cmp.Or(r.Model, short(p.model)); model != "" && model != "default" {
		w.SetModel(model)
	}
	if mode := short(p.mode); mode != "" {
		w.SetMode(mode)
	}
	switch r.Phase {
	case spool.Start:
		if s.Parent != nil && p.prompt.IsString() {
			begin(b, w, p, agent.FromTask, r.Time)
		}
	case spool.Prompt:
		origin := agent.FromPerson
		if s.Parent != nil && !w.Begun() {
			origin = agent.FromTask
		}
		begin(b, w, p, origin, r.Time)
	case spool.Before, spool.After:
		w.Seen(r.Time)
		w.Worked("")
		call(b, w, r, p)
	case spool.Stop:
		if w.Begun() {
			w.Seen(r.Time)
			w.Answer(p.answer)
		}
	case spool.Other:
		if strings.EqualFold(r.Event, "PreCompact") || strings.EqualFold(r.Event, "PreCompress") {
			w.Compacted(agent.Compaction{Time: r.Time})
		}
	}
	for _, g := range r.Gaps {
		if g.Reason == spool.GapExcluded || g.Reason == spool.GapIgnored {
			w.Gap(agent.GapTruncated, "calls that touch an excluded path", agent.Span{})
		}
	}
}

func short(v agent.Value) string {
	if !v.IsString() {
		return ""
	}
	text, _ := v.TextUpTo(256)
	return text
}

// spawned notes which session started this one, by what names it.
func spawned(s *agent.Session, r spool.Record, role string) {
	if r.Parent == "" {
		return
	}
	of, id := parentOf(r)
	if of == s.Agent && id == s.ID {
		return
	}
	if s.Parent == nil {
		s.Parent = &agent.Parent{Session: id, Agent: of, Method: cmp.Or(r.ParentBy, "hook")}
	}
	if s.Parent.Role == "" && s.Parent.Session == id {
		s.Parent.Role = role
	}
}

// parentOf gives the agent and the id of the session that started a record's: what
// the environment names is the key of a node, or an id of the same agent's.
func parentOf(r spool.Record) (of, id string) {
	own := r.AgentKey()
	if r.ParentBy != "STEMMA_PARENT_SESSION" && r.ParentBy != "TRACESTATE" && r.ParentBy != "parent" {
		return own, r.Parent
	}
	if name, rest, ok := strings.Cut(r.Parent, "/"); ok && rest != "" {
		if key, known := stemma.ParseAgent(name); known || key == "generic" {
			return key, rest
		}
	}
	return own, r.Parent
}

func begin(b *agent.Builder, w *agent.Work, p payload, origin agent.Origin, at time.Time) {
	w.Begin(agent.Turn{Origin: origin, Start: at, Prompt: b.Text(p.prompt, agent.MaxText)})
	w.Worked("")
}

// call is a call of a tool: before it, or after.
func call(b *agent.Builder, w *agent.Work, r spool.Record, p payload) {
	id := r.Call
	if id == "" {
		// An agent without ids: the tool's calls follow one another.
		key := "open " + r.Tool
		if id = w.Memo(key); id == "" || r.Phase == spool.Before {
			id = "hook-" + r.Time.UTC().Format("20060102T150405.000000000") + "-" + r.Tool
		}
		w.Note(key, "")
		if r.Phase == spool.Before {
			w.Note(key, id)
		}
	}
	if w.Open(id) == nil {
		made := b.NewCall(id, cmp.Or(r.Tool, r.Event), p.input)
		made.Start = r.Time
		if r.Tool == "" && len(r.Files) > 0 {
			made.Kind = agent.KindEdit // Cursor's afterFileEdit, Windsurf's write_code
		}
		files(&made, r)
		w.Call(made)
	}
	if r.Phase != spool.After {
		return
	}
	if c := w.Result(id, r.Time, agent.Span{Length: p.response.Len()}); c != nil {
		ended(b, c, r, p)
	}
}

// files are those that the hook saw, where the input names none that is known.
func files(c *agent.Call, r spool.Record) {
	if c.Kind != agent.KindEdit || len(c.Files) > 0 {
		return
	}
	for _, f := range r.Files {
		if !f.Found && len(c.Files) < 100 {
			c.Files = append(c.Files, agent.File{Path: strings.TrimSuffix(r.Tree, "/") + "/" + f.Path, Access: agent.Write})
		}
	}
}

// ended fills in how a call ended. Hooks after a tool run when it has succeeded,
// unless the event or the response says otherwise.
func ended(b *agent.Builder, c *agent.Call, r spool.Record, p payload) {
	failed := p.failed || strings.Contains(strings.ToLower(r.Event), "fail")
	var output strings.Builder
	var exit *int
	response := p.response.Embedded()
	if !response.IsObject() {
		output.WriteString(p.response.Texts())
	}
	response.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "is_error", "isError", "interrupted":
			failed = failed || v.True()
		case "success":
			failed = failed || !v.True()
		case "error":
			failed = failed || v.Exists() && string(v.Raw()) != `""` && string(v.Raw()) != "false"
		case "resultType": // Copilot CLI
			failed = failed || v.Text() != "success"
		case "exit_code", "exitCode":
			n := int(v.Int())
			exit = &n
		case "stdout", "stderr", "output", "textResultForLlm", "llmContent", "content":
			output.WriteString(v.Texts())
		case "agentId", "agent_id": // Claude Code, Codex CLI: the sub-agent that it was
			if id := short(v); c.Spawn != nil && id != "" {
				c.Spawn.Session = id
				if r.AgentKey() != "codex" {
					c.Spawn.Session = spool.SubagentID(r.Session, id)
				}
			}
		}
	})
	c.Ran(output.String(), failed, exit)
	if failed {
		c.Error = b.String(output.String(), 1024)
	}
}
