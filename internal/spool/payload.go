package spool

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// call is what a payload says of an event, as far as the capture path needs it.
type call struct {
	event    string
	session  string
	parent   string
	parentBy string
	exports  string
	tool     string
	id       string
	dir      string
	foreign  string
	model    string
	account  string // where the agent keeps its transcript
	phase    Phase
	paths    []string // of files that the tool is about to write or has written
	// shell says that the tool may write files which it does not name.
	shell bool
	cut   bool // the payload is not whole JSON
}

// fields are the fields of all agents' payloads. Each is named with its source,
// the agents' own documentation of hooks as of November 2026; a field that is
// not there is empty.
type fields struct {
	Event       string `json:"hook_event_name"`   // Claude Code, Codex CLI, Cursor, Gemini CLI, Droid: "Hook input"
	EventCamel  string `json:"hookEventName"`     // Copilot in VS Code
	EventAction string `json:"agent_action_name"` // Windsurf: "Cascade hooks", common input

	Session      string `json:"session_id"`             // Claude Code, Codex CLI, Gemini CLI, Droid, OpenCode plugin
	SessionCamel string `json:"sessionId"`              // Copilot CLI: "Hooks configuration"
	Conversation string `json:"conversation_id"`        // Cursor: "Hooks", common schema
	Trajectory   string `json:"trajectory_id"`          // Windsurf
	Parent       string `json:"parent_conversation_id"` // Cursor: subagentStart
	AgentID      string `json:"agent_id"`               // Claude Code, Codex CLI: every event within a sub-agent, SubagentStart, SubagentStop
	Subagent     string `json:"subagent_id"`            // Cursor: subagentStart, subagentStop

	Dir   string   `json:"cwd"`             // all but Cursor's older events and Windsurf
	Roots []string `json:"workspace_roots"` // Cursor

	Tool      string          `json:"tool_name"` // Claude Code, Codex CLI, Cursor, Gemini CLI, Droid
	ToolCamel string          `json:"toolName"`  // Copilot CLI
	Input     json.RawMessage `json:"tool_input"`
	Args      json.RawMessage `json:"toolArgs"`  // Copilot CLI: JSON in a string
	Action    json.RawMessage `json:"tool_info"` // Windsurf
	ID        string          `json:"tool_use_id"`

	Model json.RawMessage `json:"model"` // Claude Code: SessionStart; Codex CLI; Cursor

	Path            string `json:"file_path"` // Cursor: afterFileEdit
	Cursor          string `json:"cursor_version"`
	Transcript      string `json:"transcript_path"`
	AgentTranscript string `json:"agent_transcript_path"` // Claude Code, Codex CLI: SubagentStop; Cursor: subagentStop

	// The generic payload: doc/capture.md.
	Generic *generic `json:"stemma"`
}

// generic is the payload that any tool can send: {"stemma": {...}}.
type generic struct {
	Version int      `json:"version"` // 1
	Event   string   `json:"event"`   // before, after, prompt, start, stop
	Session string   `json:"session"`
	Parent  string   `json:"parent"`
	Exports string   `json:"traceparent"` // that the session gives to what it starts
	Tool    string   `json:"tool"`
	Call    string   `json:"call"`
	Dir     string   `json:"dir"`
	Model   string   `json:"model"`
	Files   []string `json:"files"` // written by the tool; without any, the work tree is compared
	Shell   bool     `json:"shell"` // the tool may write files that Files does not name
}

// inputs are the fields of a tool's input that name a file.
type inputs struct {
	FilePath  string `json:"file_path"`     // Claude Code Write, Edit, MultiEdit; Cursor; Gemini CLI; Droid; Windsurf
	FileCamel string `json:"filePath"`      // OpenCode, Copilot in VS Code
	Notebook  string `json:"notebook_path"` // Claude Code NotebookEdit
	Absolute  string `json:"absolute_path"` // Gemini CLI, older
	Path      string `json:"path"`          // Cursor, Copilot CLI
	Target    string `json:"target_file"`   // Cursor, older
	Files     []struct {
		FilePath string `json:"file_path"`
		Path     string `json:"path"`
	} `json:"files"`
	Command json.RawMessage `json:"command"` // Codex CLI apply_patch: the patch; a shell: what it runs
	Patch   string          `json:"patch"`   // OpenCode, Droid
	Input   string          `json:"input"`   // Codex CLI, custom tool apply_patch
}

// readers are tools that write no file of the work tree.
var readers = []string{
	"read", "glob", "grep", "ls", "list", "list_dir", "list_directory", "webfetch", "websearch", "web_fetch", "web_search",
	"google_web_search", "todowrite", "todoread", "todo_write", "update_plan", "bashoutput", "exitplanmode", "askuserquestion", "toolsearch",
	"read_file", "read_many_files", "search_file_content", "file_search", "codebase_search", "grep_search", "view", "fetch", "readfile", "semsearch",
}

// writers are tools that write the files that they name and no other.
var writers = []string{
	"write", "edit", "multiedit", "notebookedit", "strreplace", "delete", "applypatch", "apply_patch", "write_file", "replace",
	"create", "str_replace", "str_replace_editor", "edit_file", "create_file", "insert_edit_into_file", "replace_string_in_file",
	"search_replace", "patch", "write_code",
}

// AgentEditor is the agent of an editor that reports what a person does, in
// lines of one word and a path: "save /src/shop/tax.go". It needs no JSON, so that
// any editor's own language will do.
const AgentEditor = "editor"

// parseEditor reads the lines of an editor.
func parseEditor(payload []byte) call {
	c := call{event: "save", phase: Save}
	for line := range bytes.Lines(payload) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		path, ok := bytes.CutPrefix(line, []byte("save "))
		if !ok || len(path) == 0 {
			c.cut = true
			continue
		}
		c.paths = append(c.paths, string(path))
	}
	return c
}

// parse reads what the capture path needs from a payload. It never fails: what
// can not be read is empty, and cut says so. name is the event as the hook's
// command line gives it, "" where the payload does.
func parse(agent, name string, payload []byte) call {
	if agent == AgentEditor {
		return parseEditor(payload)
	}
	var f fields
	c := call{}
	if err := json.Unmarshal(payload, &f); err != nil {
		var wrong *json.UnmarshalTypeError
		if !errors.As(err, &wrong) { // a field of tomorrow's type: the others stand
			c.cut = true
			f = salvage(payload)
		}
	}
	if f.Generic != nil {
		return f.Generic.call(c.cut)
	}
	c.event = cmp.Or(f.Event, f.EventCamel, f.EventAction, name)
	c.session = cmp.Or(f.Session, f.SessionCamel, f.Conversation, f.Trajectory)
	_ = json.Unmarshal(f.Model, &c.model) // an object of tomorrow's: none
	c.tool = cmp.Or(f.Tool, f.ToolCamel)
	c.id = f.ID
	c.account = f.Transcript
	c.dir = f.Dir
	if c.dir == "" && len(f.Roots) > 0 {
		c.dir = f.Roots[0]
	}
	c.phase = phaseOf(c.event)
	switch {
	case f.Cursor != "" && agent != "cursor":
		c.foreign = "cursor" // it runs the hooks of Claude Code with payloads of its own
	case strings.Contains(strings.ToLower(f.Transcript), "github.copilot") || agent == "copilot" && f.EventCamel+f.Event != "":
		c.foreign = "copilot-vscode" // it runs the hooks of Claude Code, too
	case agent == "copilot":
		c.foreign = "copilot-cli"
	}
	f.subagent(&c, cmp.Or(c.foreign, agent))
	if c.phase != Before && c.phase != After {
		return c
	}
	if f.Path != "" {
		c.paths = append(c.paths, f.Path)
	}
	for _, raw := range []json.RawMessage{f.Input, f.Args, f.Action} {
		c.paths = append(c.paths, pathsIn(raw)...)
	}
	tool := strings.ToLower(c.tool)
	switch {
	case slices.Contains(readers, tool):
		c.paths = nil
	case slices.Contains(writers, tool) && len(c.paths) > 0:
	case c.tool == "" && len(c.paths) > 0: // Cursor's afterFileEdit, Windsurf's write_code
	default:
		c.shell = true // a shell, a tool of an MCP server, a tool of tomorrow
	}
	return c
}

// subagent gives an event of a sub-agent to its own session.
func (f *fields) subagent(c *call, agent string) {
	switch {
	case agent == "cursor":
		id := f.Subagent
		if f.Conversation != f.Parent && f.Parent != "" {
			id = f.Conversation
		}
		if id == "" && f.AgentTranscript != "" {
			base := f.AgentTranscript[strings.LastIndexAny(f.AgentTranscript, `/\`)+1:]
			id = strings.TrimSuffix(base, ".jsonl")
		}
		if id == "" || !strings.Contains(strings.ToLower(c.event), "subagent") && f.Parent == "" {
			return
		}
		c.parent, c.parentBy = cmp.Or(f.Parent, f.Conversation), "parent_conversation_id"
		c.session = id
	case f.AgentID == "" || c.session == "" || len(f.AgentID) > maxParent:
	case agent == "codex":
		// A sub-agent of Codex is a thread of its own.
		c.parent, c.parentBy, c.session = c.session, "agent_id", f.AgentID
	default:
		c.parent, c.parentBy, c.session = c.session, "agent_id", SubagentID(c.session, f.AgentID)
	}
	if c.parent == c.session {
		c.parent, c.parentBy = "", ""
	}
}

func (g *generic) call(cut bool) call {
	c := call{
		event: g.Event, session: g.Session, parent: g.Parent, tool: g.Tool, id: g.Call, dir: g.Dir,
		phase: phaseOf(g.Event), model: g.Model, cut: cut,
	}
	if g.Parent != "" {
		c.parentBy = "parent"
	}
	if _, _, ok := Traceparent(g.Exports); ok {
		c.exports = g.Exports
	}
	switch c.phase {
	case Before, After:
		c.paths = g.Files
		c.shell = g.Shell || len(g.Files) == 0
	case Save:
		c.paths = g.Files
	}
	return c
}

// phaseOf sorts the events of all agents, by the words in their names.
func phaseOf(event string) Phase {
	e := strings.ToLower(strings.NewReplacer("_", "", ".", "", "-", "").Replace(event))
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(e, w) })
	}
	switch {
	case e == "save":
		return Save
	case has("promptsubmit", "submitprompt", "beforeagent", "userprompt") || e == "prompt":
		return Prompt
	case has("sessionstart", "subagentstart") || e == "start":
		return Start
	case has("stop", "sessionend", "afteragent", "postcascaderesponse"):
		return Stop
	case has("pretool", "beforetool", "toolexecutebefore", "prewritecode", "preruncommand", "premcptool", "beforeshell", "beforemcp") || e == "before":
		return Before
	case has("posttool", "aftertool", "toolexecuteafter", "postwritecode", "postruncommand", "postmcptool", "aftershell", "aftermcp", "afterfileedit") || e == "after":
		return After
	default:
		return Other
	}
}

// pathsIn gives the files that a tool's input names.
func pathsIn(raw json.RawMessage) []string {
	if len(raw) == 0 {
		return nil
	}
	if raw[0] == '"' {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return nil
		}
		if strings.HasPrefix(strings.TrimSpace(text), "{") {
			return pathsIn(json.RawMessage(text))
		}
		return patched(text)
	}
	var in inputs
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(raw, &in); err != nil && !errors.As(err, &wrong) {
		return nil
	}
	var paths []string
	for _, p := range []string{in.FilePath, in.FileCamel, in.Notebook, in.Absolute, in.Path, in.Target} {
		if p != "" {
			paths = append(paths, p)
		}
	}
	for _, f := range in.Files {
		if p := f.FilePath + f.Path; p != "" {
			paths = append(paths, p)
		}
	}
	var command string
	if len(in.Command) > 0 && in.Command[0] == '[' {
		var words []string
		if json.Unmarshal(in.Command, &words) == nil {
			command = strings.Join(words, "\n")
		}
	} else if len(in.Command) > 0 {
		_ = json.Unmarshal(in.Command, &command) // of another type: no patch
	}
	for _, text := range []string{command, in.Patch, in.Input} {
		paths = append(paths, patched(text)...)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// patched gives the files that a patch in the form of apply_patch names
// ("*** Update File: ", Codex CLI's tool instructions).
func patched(text string) []string {
	if !strings.Contains(text, "*** Begin Patch") {
		return nil
	}
	var paths []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		for _, word := range []string{"*** Update File: ", "*** Add File: ", "*** Delete File: ", "*** Move to: "} {
			if p, ok := strings.CutPrefix(line, word); ok {
				paths = append(paths, p)
			}
		}
	}
	return paths
}

// salvage reads the fields of the top level of JSON that breaks off.
func salvage(payload []byte) fields {
	var kept bytes.Buffer
	kept.WriteByte('{')
	dec := json.NewDecoder(bytes.NewReader(payload))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fields{}
	}
	for dec.More() {
		key, err := dec.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			break
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			break
		}
		if kept.Len() > 1 {
			kept.WriteByte(',')
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			break
		}
		fmt.Fprintf(&kept, "%s:%s", quoted, value)
	}
	kept.WriteByte('}')
	var f fields
	_ = json.Unmarshal(kept.Bytes(), &f) // a field of another type: the others stand
	return f
}

// readPayload reads what the agent wrote, to its end so that the agent is not
// cut off, and keeps the first MaxPayload bytes.
func readPayload(in io.Reader) (payload []byte, more int64, err error) {
	payload, err = io.ReadAll(io.LimitReader(in, MaxPayload))
	if err != nil {
		return payload, 0, err
	}
	more, err = io.Copy(io.Discard, in)
	return payload, more, err
}
