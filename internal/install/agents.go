package install

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/stemma-dev/stemma"
)

// agent is a coding agent whose settings name hooks.
type agent struct {
	Name   string // as the hook is told
	Found  string // below the home: it exists where the agent is in use
	User   string // settings of the user, below the home
	Tree   string // settings of one repository, below its top; "" for none
	Source string // where the form is documented
	Events []string
	// entry makes the value that runs the command at an event.
	entry func(command string) any
	// set are members beside "hooks" that must be there.
	set map[string]any
	// named says that the hook is told the event on its command line.
	named bool
	// whole makes the file, where it is stemma's own.
	whole func(hook string) string
}

// group is an entry of agents that keep to Claude Code's form.
func group(command string) any {
	return map[string]any{"matcher": "*", "hooks": []any{map[string]any{"type": "command", "command": command, "timeout": 10}}}
}

// agents are all that can be installed for. Codex runs a hook only after the
// user has reviewed it ("/hooks"): no hash of trust is written for him.
var agents = []agent{
	{
		Name: "claudecode", Found: ".claude", User: ".claude/settings.json", Tree: ".claude/settings.local.json",
		Source: "code.claude.com/docs/en/hooks", entry: group,
		Events: []string{"SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SubagentStart", "SubagentStop", "SessionEnd"},
	},
	{
		Name: "codex", Found: ".codex", User: ".codex/hooks.json", Tree: ".codex/hooks.json",
		Source: "developers.openai.com/codex/hooks", entry: group,
		Events: []string{"SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SubagentStart", "SubagentStop"},
	},
	{
		Name: "cursor", Found: ".cursor", User: ".cursor/hooks.json", Tree: ".cursor/hooks.json",
		Source: "cursor.com/docs/agent/hooks",
		entry:  func(command string) any { return map[string]any{"command": command} },
		Events: []string{"sessionStart", "beforeSubmitPrompt", "preToolUse", "postToolUse", "subagentStart", "subagentStop", "stop", "sessionEnd"},
		set:    map[string]any{"version": 1},
	},
	{
		Name: "gemini", Found: ".gemini", User: ".gemini/settings.json", Tree: ".gemini/settings.json",
		Source: "geminicli.com/docs/hooks",
		entry: func(command string) any {
			return map[string]any{"matcher": "*", "hooks": []any{map[string]any{"name": "stemma", "type": "command", "command": command, "timeout": 10000}}}
		},
		Events: []string{"SessionStart", "BeforeAgent", "BeforeTool", "AfterTool", "AfterAgent", "SessionEnd"},
		set:    map[string]any{"tools": map[string]any{"enableHooks": true}},
	},
	{
		Name: "droid", Found: ".factory", User: ".factory/settings.json", Tree: ".factory/settings.json",
		Source: "docs.factory.ai/reference/hooks-reference", entry: group,
		Events: []string{"SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SubagentStop", "SessionEnd"},
	},
	{
		Name: "windsurf", Found: ".codeium/windsurf", User: ".codeium/windsurf/hooks.json",
		Source: "docs.windsurf.com/windsurf/cascade/hooks",
		entry:  func(command string) any { return map[string]any{"command": command, "show_output": false} },
		Events: []string{"pre_user_prompt", "pre_write_code", "post_write_code", "pre_run_command", "post_run_command"},
	},
	{
		Name: "copilot", Found: ".copilot", User: ".copilot/hooks/stemma.json", Tree: ".github/hooks/stemma.json",
		Source: "docs.github.com/copilot/reference/hooks-configuration", named: true,
		entry: func(command string) any {
			return map[string]any{"type": "command", "bash": command, "timeoutSec": 10}
		},
		Events: []string{"sessionStart", "userPromptSubmitted", "preToolUse", "postToolUse", "agentStop", "subagentStop", "sessionEnd"},
		set:    map[string]any{"version": 1},
	},
	{
		Name: "opencode", Found: ".config/opencode", User: ".config/opencode/plugins/stemma.js", Tree: ".opencode/plugins/stemma.js",
		Source: "opencode.ai/docs/plugins", whole: openCode,
	},
}

// openCode is the plugin for OpenCode: it hands what the agent says to the hook
// and never waits for more than that, nor fails.
func openCode(hook string) string {
	command, err := json.Marshal(hook + " opencode")
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return `// Written by "stemma init"; "stemma uninit" removes it.
import { spawn } from "node:child_process"

const tell = (event, dir, input, args) =>
  new Promise((done) => {
    try {
      const hook = spawn(` + string(command) + `, { shell: true, stdio: ["pipe", "ignore", "ignore"] })
      hook.on("error", done)
      hook.on("close", done)
      hook.stdin.on("error", done)
      hook.stdin.end(JSON.stringify({
        hook_event_name: event, session_id: input.sessionID, tool_name: input.tool,
        tool_use_id: input.callID, tool_input: args, cwd: dir,
      }))
    } catch {
      done()
    }
  })

export const Stemma = async ({ directory }) => ({
  "tool.execute.before": (input, output) => tell("tool.execute.before", directory, input, output.args),
  "tool.execute.after": (input, output) => tell("tool.execute.after", directory, input, input.args ?? output.args),
})
`
}

// Agents gives the names of all agents that can be installed for.
func Agents() []string {
	names := make([]string, len(agents))
	for i, a := range agents {
		names[i] = a.Name
	}
	return names
}

// Found gives the names of the agents that are in use on this machine: those
// that have a folder in the user's home.
func Found(home string) []string {
	names := []string{}
	for _, a := range agents {
		if st, err := os.Stat(filepath.Join(home, filepath.FromSlash(a.Found))); err == nil && st.IsDir() {
			names = append(names, a.Name)
		}
	}
	return names
}

func agentNamed(name string) (agent, bool) {
	i := slices.IndexFunc(agents, func(a agent) bool { return a.Name == name })
	if i < 0 {
		return agent{}, false
	}
	return agents[i], true
}

// path is the file to edit; "" where there is none.
func (a agent) path(cfg Config) string {
	switch {
	case cfg.Tree == "":
		return filepath.Join(cfg.Home, filepath.FromSlash(a.User))
	case a.Tree == "":
		return ""
	default:
		return filepath.Join(cfg.Tree, filepath.FromSlash(a.Tree))
	}
}

// command is what the agent runs at an event.
func (a agent) command(cfg Config, event string) string {
	command := cfg.Hook + " " + a.Name
	if a.named {
		command += " " + event
	}
	return command
}

func (a agent) edit(cfg Config, path string) ([]Edit, error) {
	before, err := read(path)
	if err != nil {
		return nil, err
	}
	e := Edit{Path: path, For: a.Name, Before: before, Mode: 0o600, strip: stripJSON}
	if a.whole != nil {
		e.After, e.mark = []byte(a.whole(cfg.Hook)), []string{a.Name}
		e.strip = func(now []byte) ([]byte, error) { return now, nil }
		return []Edit{e}, nil
	}
	e.mark = []string{quoted(a.command(cfg, a.Events[0]))}
	e.After, err = a.insert(before, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return []Edit{e}, nil
}

func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return string(text)
}

// insert adds the hooks to settings, which stay as they are otherwise.
func (a agent) insert(before []byte, cfg Config) ([]byte, error) {
	text := before
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n")
	}
	v, err := hujson.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, stemma.ErrInvalid)
	}
	if _, ok := v.Value.(*hujson.Object); !ok {
		return nil, fmt.Errorf("no JSON object: %w", stemma.ErrInvalid)
	}
	fresh := len(before) == 0
	for _, name := range slices.Sorted(keys(a.set)) {
		if err := addMember(&v, "", name, a.set[name]); err != nil {
			return nil, err
		}
	}
	if err := addMember(&v, "", "hooks", map[string]any{}); err != nil {
		return nil, err
	}
	for _, event := range a.Events {
		at := "/hooks/" + event
		if err := addMember(&v, "/hooks", event, []any{}); err != nil {
			return nil, err
		}
		list, ok := v.Find(at).Value.(*hujson.Array)
		if !ok {
			return nil, fmt.Errorf("%s is no list: %w", at, stemma.ErrInvalid)
		}
		command := a.command(cfg, event)
		if slices.ContainsFunc(list.Elements, func(e hujson.Value) bool { return bytes.Contains(e.Pack(), []byte(quoted(command))) }) {
			continue
		}
		if err := patch(&v, "add", at+"/-", a.entry(command)); err != nil {
			return nil, err
		}
	}
	if !fresh {
		return v.Pack(), nil
	}
	var out bytes.Buffer
	if err := json.Indent(&out, v.Pack(), "", "  "); err != nil { // it has no comments
		return nil, fmt.Errorf("%v: %w", err, stemma.ErrInvalid)
	}
	return append(bytes.TrimSpace(out.Bytes()), '\n'), nil
}

func keys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// addMember adds a member to an object where it has none of the name. A member
// that is an object on both sides is filled up.
func addMember(v *hujson.Value, at, name string, value any) error {
	there := v.Find(at + "/" + name)
	if there == nil {
		return patch(v, "add", at+"/"+name, value)
	}
	more, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	if _, ok := there.Value.(*hujson.Object); !ok {
		return fmt.Errorf("%s/%s is no object: %w", at, name, stemma.ErrInvalid)
	}
	for _, k := range slices.Sorted(keys(more)) {
		if err := addMember(v, at+"/"+name, k, more[k]); err != nil {
			return err
		}
	}
	return nil
}

// patch changes one place (RFC 6902), and leaves the bytes of all others.
func patch(v *hujson.Value, op, at string, value any) error {
	text, err := json.Marshal([]map[string]any{{"op": op, "path": at, "value": value}})
	if err != nil {
		return err
	}
	if err := v.Patch(text); err != nil {
		return fmt.Errorf("%s: %v: %w", at, err, stemma.ErrInvalid)
	}
	return nil
}

// ours reports whether a command is stemma's.
func ours(text []byte) bool {
	return bytes.Contains(text, []byte("stemma-hook")) || bytes.Contains(text, []byte("stemma hook "))
}

// stripJSON takes stemma's hooks out of settings that somebody else changed
// meanwhile; what is empty then goes too.
func stripJSON(now []byte) ([]byte, error) {
	v, err := hujson.Parse(now)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, stemma.ErrInvalid)
	}
	hooks := v.Find("/hooks")
	if hooks == nil {
		return now, nil
	}
	object, ok := hooks.Value.(*hujson.Object)
	if !ok {
		return now, nil
	}
	var empty []string
	for _, m := range object.Members {
		name, ok := m.Name.Value.(hujson.Literal)
		list, isList := m.Value.Value.(*hujson.Array)
		if !ok || !isList {
			continue
		}
		n := len(list.Elements)
		list.Elements = slices.DeleteFunc(list.Elements, func(e hujson.Value) bool { return ours(e.Pack()) })
		if n > 0 && len(list.Elements) == 0 {
			empty = append(empty, name.String())
		}
	}
	for _, name := range empty {
		if err := patch(&v, "remove", "/hooks/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), nil); err != nil {
			return nil, err
		}
	}
	if len(object.Members) == 0 {
		if err := patch(&v, "remove", "/hooks", nil); err != nil {
			return nil, err
		}
	}
	return v.Pack(), nil
}
