package codex

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stemma-dev/stemma/internal/agent"
)

// result is the output of a call: a text, or JSON in a text with the output and
// how it ended.
func result(b *agent.Builder, w *agent.Work, id string, output agent.Value, when time.Time, at agent.Span) {
	c := w.Result(id, when, at)
	if c == nil {
		return
	}
	text := output.Text()
	var exit *int
	failed := false
	if inner := output; output.IsString() && strings.HasPrefix(text, "{") || output.IsObject() {
		if output.IsString() {
			inner = output.Embedded()
		}
		inner.Each(func(name []byte, v agent.Value) {
			switch string(name) {
			case "output", "content":
				if v.IsString() {
					text = v.Text()
				}
			case "success":
				failed = !v.True()
			case "metadata":
				if code := v.Get("exit_code"); code.Exists() {
					n := int(code.Int())
					exit = &n
				}
			case "agent_id", "thread_id", "new_thread_id":
				if c.Kind == agent.KindSpawn && v.IsString() {
					if c.Spawn == nil {
						c.Spawn = &agent.Spawn{}
					}
					c.Spawn.Session = v.Text()
				}
			}
		})
	}
	if exit == nil {
		exit = exitOf(text)
	}
	switch {
	case turnedDown(text):
		c.Outcome, c.Decision = agent.OutcomeNone, agent.Rejected
		return
	case strings.HasPrefix(text, "apply_patch verification failed"), strings.HasPrefix(text, "failed to parse function arguments"),
		strings.HasPrefix(text, "unsupported call"), strings.HasPrefix(text, "execution error"):
		failed = true
	}
	c.Ran(text, failed, exit)
	if c.Kind == agent.KindSpawn && c.Spawn != nil && c.Outcome == agent.OutcomeOK && c.Spawn.Session == "" {
		c.Spawn.Result = b.String(text, agent.MaxText)
	}
	if c.Outcome == agent.OutcomeError {
		c.Error = b.String(text, 1024)
	} else if c.Decision == "" && strings.HasPrefix(w.Mode(), "never") {
		c.Decision = agent.Automatic
	}
}

// turnedDown reports whether a result says that the person did not allow the
// call.
func turnedDown(text string) bool {
	return strings.HasPrefix(text, "exec command rejected by user") || strings.HasPrefix(text, "patch rejected by user") ||
		strings.HasPrefix(text, "rejected by user") || strings.HasPrefix(text, "aborted by user") || strings.HasPrefix(text, "command was rejected")
}

var exitLine = regexp.MustCompile(`^(?:Exit code: |Chunk ID: [^\n]*\n(?:[^\n]*\n){0,2}Process exited with code )(-?\d{1,9})`)

// exitOf finds the status that the text of a result begins with.
func exitOf(text string) *int {
	m := exitLine.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return nil
	}
	return &n
}

// event is what the person was shown.
func event(b *agent.Builder, w *agent.Work, p agent.Value, when time.Time, at agent.Span) string {
	var kind string
	var info, text, turn agent.Value
	p.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "type":
			kind, _ = v.TextUpTo(64)
		case "info":
			info = v
		case "message":
			text = v
		case "turn_id":
			turn = v
		}
	})
	switch kind {
	case "token_count":
		tokens(w, info)
	case "user_message":
		if text.IsString() {
			prompt(b, w, text, 0, when, at)
		}
	case "turn_aborted":
		if w.Begun() {
			w.Turn().Interrupted = true
		}
	case "task_started":
		if turn.IsString() {
			id, _ := turn.TextUpTo(256)
			w.Note("turn", id)
		}
	case "error", "stream_error":
		w.Turn().Errors++
	case "exec_approval_request", "apply_patch_approval_request":
		w.Note("asked", p.Get("call_id").Text())
	case "patch_apply_begin", "exec_command_begin":
		approved(w, p)
	case "sub_agent_activity", "collab_agent_spawn_end", "SubAgentActivity":
		spawned(w, p)
	case "collab_agent_interaction_end":
		interacted(b, w, p, when)
	case "context_compacted", "agent_message", "agent_reasoning", "agent_reasoning_raw_content", "agent_reasoning_section_break", "task_complete",
		"exec_command_end", "exec_command_output_delta", "patch_apply_end", "mcp_tool_call_begin", "mcp_tool_call_end",
		"web_search_begin", "web_search_end", "turn_diff", "plan_update", "background_event", "entered_review_mode",
		"exited_review_mode", "view_image_tool_call", "thread_rolled_back", "item_completed", "item_started", "warning",
		"undo_started", "undo_completed", "thread_name_updated", "collab_agent_spawn_begin", "collab_waiting_begin", "collab_waiting_end",
		"collab_agent_interaction_begin", "collab_close_begin", "collab_close_end",
		"agent_message_delta", "session_configured", "deprecation_notice", "guardian_assessment", "dynamic_tool_call_request":
	default:
		return "an event of an unknown type"
	}
	return ""
}

// approved notes that a call which the person was asked about went ahead.
func approved(w *agent.Work, p agent.Value) {
	id := p.Get("call_id").Text()
	c := w.Open(id)
	if c == nil {
		return
	}
	switch auto := p.Get("auto_approved"); {
	case auto.True():
		c.Decision = agent.Automatic
	case auto.Exists(), w.Memo("asked") == id && id != "":
		c.Decision = agent.Accepted
	}
}

// spawned links the call that spawned a thread with it.
func spawned(w *agent.Work, p agent.Value) {
	id := p.Get("agent_thread_id")
	if !id.IsString() {
		id = p.Get("new_thread_id")
	}
	if c := w.Open(p.Get("call_id").Text()); c != nil && id.IsString() {
		if c.Spawn == nil {
			c.Spawn = &agent.Spawn{}
		}
		c.Kind, c.Spawn.Session = agent.KindSpawn, id.Text()
	}
}

// interacted notes a message from one thread to another that is at work already.
func interacted(b *agent.Builder, w *agent.Work, p agent.Value, when time.Time) {
	from, to := p.Get("sender_thread_id"), p.Get("receiver_thread_id")
	m := agent.Message{Time: when, Session: to.Text(), Call: p.Get("call_id").Text(), Text: b.Text(p.Get("prompt"), agent.MaxText)}
	m.Name, _ = p.Get("receiver_agent_nickname").TextUpTo(256)
	if m.Session == w.Head().ID {
		m.Session, m.Name, m.Call, m.Received = from.Text(), "", "", true
	}
	if m.Session != "" {
		w.Message(m)
	}
}

// tokens adds what was used since the last count. The counts are sums over the
// session, and are told again when nothing was used.
func tokens(w *agent.Work, info agent.Value) {
	total := info.Get("total_token_usage")
	if !total.IsObject() {
		return
	}
	var now, u agent.Usage
	total.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "input_tokens":
			now.Input = v.Int()
		case "cached_input_tokens":
			now.CacheRead = v.Int()
		case "output_tokens":
			now.Output = v.Int()
		case "reasoning_output_tokens":
			now.Reasoning = v.Int()
		}
	})
	grow := func(key string, now int64) int64 {
		before, _ := strconv.ParseInt(w.Memo(key), 10, 64)
		w.Note(key, strconv.FormatInt(now, 10))
		if now < before {
			return now // the count began anew
		}
		return now - before
	}
	input := grow("input", now.Input)
	u.CacheRead = grow("cached", now.CacheRead)
	u.Input = max(0, input-u.CacheRead) // what came from the cache is counted in both
	u.Output = grow("output", now.Output)
	u.Reasoning = grow("reasoning", now.Reasoning)
	if u == (agent.Usage{}) {
		return
	}
	u.Requests = 1
	w.Use("", w.Worked(""), u)
}
