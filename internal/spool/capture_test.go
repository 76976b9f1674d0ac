package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemma-dev/stemma"
)

// desk is a repository with an agent at work in it.
type desk struct {
	t    *testing.T
	dir  string // of the work tree
	home string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, dir: filepath.Join(root, "repo"), home: filepath.Join(root, "spool")}
	os.Mkdir(d.dir, 0o755)
	git(t, d.dir, "init", "-q")
	d.write(".gitignore", "*.log\n")
	d.write("main.go", "package main\n")
	git(t, d.dir, "add", ".")
	git(t, d.dir, "commit", "-qm", "first")
	return d
}

func (d *desk) write(rel, text string) { d.t.Helper(); write(d.t, filepath.Join(d.dir, rel), text) }

// hook runs a hook with the fields as its payload.
func (d *desk) hook(agent string, fields map[string]any) {
	d.t.Helper()
	if _, ok := fields["cwd"]; !ok {
		fields["cwd"] = d.dir
	}
	payload, err := json.Marshal(fields)
	if err != nil {
		d.t.Fatal(err)
	}
	d.raw(agent, bytes.NewReader(payload))
}

func (d *desk) raw(agent string, payload io.Reader) {
	d.t.Helper()
	if err := Capture(Input{Agent: agent, Payload: payload, Dir: d.dir, Home: d.home, Now: time.Now}); err != nil {
		d.t.Fatal(err)
	}
}

// claude gives a payload of Claude Code around a tool call.
func claude(event, tool string, input map[string]any) map[string]any {
	return map[string]any{
		"session_id": "s1", "hook_event_name": event, "tool_name": tool, "tool_input": input, "tool_use_id": "toolu_1",
		"transcript_path": "/home/ada/.claude/projects/x/s1.jsonl", "permission_mode": "default",
	}
}

func (d *desk) spool() *Spool {
	d.t.Helper()
	p, err := Find(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := Open(filepath.Join(d.home, p.Folder()), Config{})
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *desk) records() []Stored {
	d.t.Helper()
	records, faults := all(d.t, d.spool())
	if len(faults) > 0 {
		d.t.Errorf("faults: %v", faults)
	}
	return records
}

// content is what a snapshot of the record holds of a path; its state where
// there is no content.
func (d *desk) content(r Stored, rel string) string {
	d.t.Helper()
	for _, f := range r.Files {
		if f.Path != rel {
			continue
		}
		if f.Blob == "" {
			return string(f.State)
		}
		data, err := d.spool().Blob(f.Blob)
		if err != nil {
			d.t.Fatal(err)
		}
		return string(data)
	}
	return "not looked at"
}

func TestEditIsSeenBeforeAndAfter(t *testing.T) {
	d := newDesk(t)
	input := map[string]any{"file_path": filepath.Join(d.dir, "main.go"), "old_string": "a", "new_string": "b"}
	d.hook("claudecode", claude("PreToolUse", "Edit", input))
	d.write("main.go", "package main\n\nfunc main() {}\n")
	d.hook("claudecode", claude("PostToolUse", "Edit", input))
	records := d.records()
	if len(records) != 2 {
		t.Fatalf("%d records, want 2", len(records))
	}
	before, after := records[0], records[1]
	if before.Phase != Before || after.Phase != After || before.Call != "toolu_1" || after.Session != "s1" || after.Tree != d.dir {
		t.Errorf("records are %+v and %+v", before.Record, after.Record)
	}
	if got := d.content(before, "main.go"); got != "package main\n" {
		t.Errorf("before: %q", got)
	}
	if got := d.content(after, "main.go"); got != "package main\n\nfunc main() {}\n" {
		t.Errorf("after: %q", got)
	}
	if !bytes.Contains(after.Payload, []byte(`"PostToolUse"`)) {
		t.Error("the payload is not kept")
	}
}

// A shell may write, move, delete and even commit files that it never names.
func TestShellIsSeenByWhatItChanged(t *testing.T) {
	d := newDesk(t)
	d.write("dirty.go", "as a person left it\n")
	d.write("gone.go", "to be removed\n")
	d.write("idle.go", "left alone\n")
	input := map[string]any{"command": "make generate"}
	d.hook("claudecode", claude("PreToolUse", "Bash", input))
	d.write("main.go", "package main // by the shell\n")
	d.write("dirty.go", "by the shell\n")
	d.write("made/deep.go", "new\n")
	d.write("debug.log", "ignored\n")
	os.Remove(filepath.Join(d.dir, "gone.go"))
	git(t, d.dir, "commit", "-qam", "committed by the shell") // main.go is clean again
	d.hook("claudecode", claude("PostToolUse", "Bash", input))

	records := d.records()
	before, after := records[0], records[1]
	want := map[string][2]string{
		"main.go":      {"not looked at", "package main // by the shell\n"},
		"dirty.go":     {"as a person left it\n", "by the shell\n"},
		"gone.go":      {"to be removed\n", "absent"},
		"made/deep.go": {"not looked at", "new\n"},
		"debug.log":    {"not looked at", "not looked at"},
		"idle.go":      {"left alone\n", "not looked at"},
	}
	for rel, w := range want {
		if got := [2]string{d.content(before, rel), d.content(after, rel)}; got != w {
			t.Errorf("%s: before and after %q, want %q", rel, got, w)
		}
	}
	if len(before.Gaps)+len(after.Gaps) != 0 {
		t.Errorf("gaps: %v %v", before.Gaps, after.Gaps)
	}
}

func TestShellWithoutALookBeforeIsAGap(t *testing.T) {
	d := newDesk(t)
	d.hook("claudecode", claude("PostToolUse", "Bash", map[string]any{"command": "x"}))
	r := d.records()[0]
	if len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0].Reason, "no comparison") {
		t.Errorf("gaps = %v", r.Gaps)
	}
}

func TestExcludedPathsNeverEnterTheSpool(t *testing.T) {
	const secret = "CANARY-4711"
	d := newDesk(t)
	p, err := Find(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(d.home, "settings.json"), `{"exclude":["private/"]}`)
	write(t, filepath.Join(d.home, p.Folder(), "settings.json"), `{"exclude":["*.secret"]}`)
	for _, rel := range []string{".env", "conf/.env.local", "keys/id_rsa", "debug.log", "private/a", "x.secret"} {
		d.write(rel, secret)
		input := map[string]any{"file_path": filepath.Join(d.dir, rel), "content": secret}
		d.hook("claudecode", claude("PreToolUse", "Write", input))
		d.hook("claudecode", claude("PostToolUse", "Write", input))
	}
	d.hook("claudecode", claude("PreToolUse", "Bash", map[string]any{"command": "ls"}))
	d.hook("claudecode", claude("PostToolUse", "Bash", map[string]any{"command": "ls"}))
	err = filepath.WalkDir(d.home, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("%s holds the content of an excluded file", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.records()); n != 14 {
		t.Errorf("%d records, want 14: that something happened is kept", n)
	}
}

func TestExampleOfSecretsIsCaptured(t *testing.T) {
	d := newDesk(t)
	d.write(".env.example", "KEY=\n")
	d.hook("claudecode", claude("PostToolUse", "Write", map[string]any{"file_path": filepath.Join(d.dir, ".env.example")}))
	if got := d.content(d.records()[0], ".env.example"); got != "KEY=\n" {
		t.Errorf("content = %q", got)
	}
}

func TestPausedAndExcludedRepositoriesAreNotCaptured(t *testing.T) {
	d := newDesk(t)
	p, _ := Find(d.dir)
	edit := func() {
		d.hook("claudecode", claude("PostToolUse", "Write", map[string]any{"file_path": filepath.Join(d.dir, "main.go")}))
	}
	for _, folder := range []string{"", p.Folder()} {
		if err := Pause(d.home, folder); err != nil {
			t.Fatal(err)
		}
		edit()
		if n := len(d.records()); n != 0 {
			t.Errorf("paused %q: %d records", folder, n)
		}
		if err := errors.Join(Resume(d.home, folder), Resume(d.home, folder)); err != nil {
			t.Error(err)
		}
	}
	settings, _ := json.Marshal(Settings{Repositories: []string{filepath.Dir(d.dir)}})
	write(t, filepath.Join(d.home, "settings.json"), string(settings))
	edit()
	if n := len(d.records()); n != 0 {
		t.Errorf("excluded: %d records", n)
	}
	write(t, filepath.Join(d.home, "settings.json"), "{}")
	edit()
	if n := len(d.records()); n != 1 {
		t.Errorf("resumed: %d records, want 1", n)
	}
}

func TestStrangePayloadsAreKept(t *testing.T) {
	d := newDesk(t)
	huge := `{"session_id":"s9","hook_event_name":"PostToolUse","cwd":` + quote(d.dir) + `,"tool_name":"Write","tool_input":{"file_path":` +
		quote(filepath.Join(d.dir, "main.go")) + `},"tool_response":"` + strings.Repeat("x", 40<<20) + `"}`
	tests := []struct {
		name, payload, gap, session string
	}{
		{"empty", "", "empty", ""},
		{"not JSON", "hello \xff", "can not be read", ""},
		{"of tomorrow", `{"session_id":"s2","hook_event_name":"Telepathy","tool_name":7,"extra":{"a":[1]}}`, "", "s2"},
		{"an array", `[1,2]`, "", ""},
		{"huge", huge, "was cut to", "s9"},
	}
	for i, test := range tests {
		d.raw("claudecode", strings.NewReader(test.payload))
		records := d.records()
		if len(records) != i+1 {
			t.Fatalf("%s: %d records", test.name, len(records))
		}
		r := records[i]
		var gaps []string
		for _, g := range r.Gaps {
			gaps = append(gaps, g.Reason)
		}
		if test.gap == "" && len(gaps) > 0 || !strings.Contains(strings.Join(gaps, ";"), test.gap) {
			t.Errorf("%s: gaps %q, want %q", test.name, gaps, test.gap)
		}
		if r.Session != test.session || !strings.HasPrefix(test.payload, string(r.Payload)) {
			t.Errorf("%s: session %q, want %q", test.name, r.Session, test.session)
		}
	}
	if got := d.content(d.records()[4], "main.go"); got != "package main\n" {
		t.Errorf("the file that a huge payload names: %q", got)
	}
}

func quote(s string) string {
	q, _ := json.Marshal(s)
	return string(q)
}

// Each agent's payload, after its documentation.
func TestPayloadsOfEachAgent(t *testing.T) {
	patch := "*** Begin Patch\n*** Update File: a.go\n@@\n-x\n+y\n*** Add File: sub/b.go\n+z\n*** End Patch\n"
	tests := []struct {
		agent, event, payload string
		want                  call
	}{
		{
			"claudecode", "", `{"session_id":"s","hook_event_name":"PostToolUse","tool_name":"MultiEdit","tool_input":{"file_path":"/r/a"},"tool_use_id":"t","cwd":"/r"}`,
			call{session: "s", tool: "MultiEdit", id: "t", dir: "/r", phase: After, paths: []string{"/r/a"}},
		},
		{
			"claudecode", "", `{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Read","tool_input":{"file_path":"/r/a"}}`,
			call{session: "s", tool: "Read", phase: Before},
		},
		{
			"claudecode", "", `{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"mcp__fs__write","tool_input":{"path":"/r/a"}}`,
			call{session: "s", tool: "mcp__fs__write", phase: Before, paths: []string{"/r/a"}, shell: true},
		},
		{"claudecode", "", `{"session_id":"s","hook_event_name":"UserPromptSubmit","prompt":"do it"}`, call{session: "s", phase: Prompt}},
		{"claudecode", "", `{"session_id":"s","hook_event_name":"SubagentStop"}`, call{session: "s", phase: Stop}},
		{
			"claudecode", "", `{"conversation_id":"c","cursor_version":"2.0","hook_event_name":"preToolUse","tool_name":"Write","tool_input":{"file_path":"/r/a"},"workspace_roots":["/r"]}`,
			call{session: "c", tool: "Write", dir: "/r", phase: Before, paths: []string{"/r/a"}, foreign: "cursor"},
		},
		{
			"codex", "", `{"session_id":"s","turn_id":"1","hook_event_name":"PostToolUse","tool_name":"apply_patch","tool_input":{"command":` + quote(patch) + `},"cwd":"/r"}`,
			call{session: "s", tool: "apply_patch", dir: "/r", phase: After, paths: []string{"a.go", "sub/b.go"}},
		},
		{
			"codex", "", `{"session_id":"s","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":["bash","-lc","ls"]},"cwd":"/r"}`,
			call{session: "s", tool: "Bash", dir: "/r", phase: Before, shell: true},
		},
		{
			"cursor", "", `{"conversation_id":"c","cursor_version":"2.0","hook_event_name":"afterFileEdit","file_path":"/r/a","edits":[],"workspace_roots":["/r"]}`,
			call{session: "c", dir: "/r", phase: After, paths: []string{"/r/a"}},
		},
		{
			"cursor", "", `{"conversation_id":"c","parent_conversation_id":"p","cursor_version":"2.0","hook_event_name":"subagentStart"}`,
			call{session: "c", parent: "p", parentBy: "parent_conversation_id", phase: Start},
		},
		{"cursor", "", `{"conversation_id":"c","cursor_version":"2.0","hook_event_name":"beforeSubmitPrompt","prompt":"do it"}`, call{session: "c", phase: Prompt}},
		{
			"cursor", "", `{"conversation_id":"p","subagent_id":"c","parent_conversation_id":"p","cursor_version":"2.0","hook_event_name":"subagentStart"}`,
			call{session: "c", parent: "p", parentBy: "parent_conversation_id", phase: Start},
		},
		{
			"cursor", "", `{"conversation_id":"p","cursor_version":"2.0","hook_event_name":"subagentStop","agent_transcript_path":"/h/.cursor/projects/r/agent-transcripts/c.jsonl"}`,
			call{session: "c", parent: "p", parentBy: "parent_conversation_id", phase: Stop},
		},
		{
			"claudecode", "", `{"session_id":"s","agent_id":"w1","agent_type":"reviewer","hook_event_name":"SubagentStop"}`,
			call{session: "s/agent-w1", parent: "s", parentBy: "agent_id", phase: Stop},
		},
		{
			"claudecode", "", `{"session_id":"s","agent_id":"w1","hook_event_name":"PostToolUse","tool_name":"Write","tool_input":{"file_path":"/r/a"}}`,
			call{session: "s/agent-w1", parent: "s", parentBy: "agent_id", tool: "Write", phase: After, paths: []string{"/r/a"}},
		},
		{
			"codex", "", `{"session_id":"s","agent_id":"c","hook_event_name":"SubagentStart"}`,
			call{session: "c", parent: "s", parentBy: "agent_id", phase: Start},
		},
		{
			"claudecode", "", `{"session_id":"s","hook_event_name":"UserPromptSubmit","transcript_path":"/w/GitHub.copilot-chat/transcripts/s.jsonl"}`,
			call{session: "s", phase: Prompt, foreign: "copilot-vscode", account: "/w/GitHub.copilot-chat/transcripts/s.jsonl"},
		},
		{
			"gemini", "", `{"session_id":"s","hook_event_name":"BeforeTool","tool_name":"replace","tool_input":{"file_path":"/r/a"},"cwd":"/r"}`,
			call{session: "s", tool: "replace", dir: "/r", phase: Before, paths: []string{"/r/a"}},
		},
		{
			"gemini", "", `{"session_id":"s","hook_event_name":"AfterTool","tool_name":"run_shell_command","tool_input":{"command":"ls"},"cwd":"/r"}`,
			call{session: "s", tool: "run_shell_command", dir: "/r", phase: After, shell: true},
		},
		{
			"copilot", "postToolUse", `{"sessionId":"s","timestamp":1.5,"cwd":"/r","toolName":"create","toolArgs":"{\"path\":\"/r/a\"}"}`,
			call{session: "s", tool: "create", dir: "/r", phase: After, paths: []string{"/r/a"}, foreign: "copilot-cli"},
		},
		{
			"windsurf", "", `{"agent_action_name":"post_write_code","trajectory_id":"w","tool_info":{"file_path":"/r/a","edits":[]}}`,
			call{session: "w", phase: After, paths: []string{"/r/a"}},
		},
		{
			"droid", "", `{"session_id":"s","hook_event_name":"PostToolUse","tool_name":"Create","tool_input":{"file_path":"/r/a"},"cwd":"/r"}`,
			call{session: "s", tool: "Create", dir: "/r", phase: After, paths: []string{"/r/a"}},
		},
		{
			"opencode", "", `{"hook_event_name":"tool.execute.after","session_id":"s","cwd":"/r","tool_name":"edit","tool_input":{"filePath":"/r/a"},"tool_use_id":"t"}`,
			call{session: "s", tool: "edit", id: "t", dir: "/r", phase: After, paths: []string{"/r/a"}},
		},
		{
			"generic", "", `{"stemma":{"version":1,"event":"before","session":"s","parent":"p","tool":"x","call":"1","dir":"/r","files":["a"]}}`,
			call{session: "s", parent: "p", parentBy: "parent", tool: "x", id: "1", dir: "/r", phase: Before, paths: []string{"a"}},
		},
		{"generic", "", `{"stemma":{"version":1,"event":"save","dir":"/r","files":["a"]}}`, call{dir: "/r", phase: Save, paths: []string{"a"}}},
		{"editor", "", "save /r/a b\r\nsave /r/c\n\nclose /r/c\n", call{phase: Save, paths: []string{"/r/a b", "/r/c"}, cut: true}},
		{"generic", "", `{"stemma":{"version":1,"event":"after","session":"s"}}`, call{session: "s", phase: After, shell: true}},
	}
	for _, test := range tests {
		got := parse(test.agent, test.event, []byte(test.payload))
		got.event = ""
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) {
			t.Errorf("%s %s\n got %+v\nwant %+v", test.agent, test.payload, got, test.want)
		}
	}
}

func TestAgentThatWorksInSeveralRepositories(t *testing.T) {
	d, other := newDesk(t), newDesk(t)
	other.home = d.home
	d.hook("claudecode", claude("PostToolUse", "Write", map[string]any{"file_path": filepath.Join(other.dir, "main.go")}))
	if r := d.records(); len(r) != 1 || len(r[0].Files) != 0 {
		t.Errorf("the agent's own repository: %+v", r)
	}
	if r := other.records(); len(r) != 1 || other.content(r[0], "main.go") != "package main\n" {
		t.Errorf("the repository of the file: %+v", r)
	}
	d.hook("claudecode", map[string]any{"session_id": "s", "hook_event_name": "SessionStart", "cwd": t.TempDir()})
	s, _ := Open(filepath.Join(d.home, Elsewhere), Config{})
	if records, _ := all(t, s); len(records) != 1 {
		t.Errorf("outside of any repository: %d records, want 1", len(records))
	}
}

func TestLinksLargeFilesAndFoldersAreSaid(t *testing.T) {
	d := newDesk(t)
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, outside, "CANARY")
	os.Symlink(outside, filepath.Join(d.dir, "link"))
	os.Mkdir(filepath.Join(d.dir, "folder"), 0o755)
	d.write("large", strings.Repeat("x", MaxFile+1))
	for _, rel := range []string{"link", "folder", "large", "absent"} {
		d.hook("claudecode", claude("PostToolUse", "Write", map[string]any{"file_path": filepath.Join(d.dir, rel)}))
	}
	var states []State
	for _, r := range d.records() {
		states = append(states, r.Files[0].State)
	}
	if want := []State{Link, Special, Large, Absent}; !slices.Equal(states, want) {
		t.Errorf("states %q, want %q", states, want)
	}
	if got := d.content(d.records()[0], "link"); got != outside {
		t.Errorf("of a link %q is kept, want where it leads", got)
	}
}

func TestHomeThatCanNotBeWritten(t *testing.T) {
	d := newDesk(t)
	d.home = filepath.Join(d.dir, "main.go", "spool") // below a file: even root can not make it
	err := Capture(Input{Agent: "claudecode", Payload: strings.NewReader(`{"cwd":` + quote(d.dir) + `}`), Dir: d.dir, Home: d.home, Now: time.Now})
	if err == nil {
		t.Error("no error")
	}
	if errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("error %v is said to be the payload's", err)
	}
}

func TestHookOfGitTellsWhetherCaptureIsHealthy(t *testing.T) {
	d := newDesk(t)
	gaps := func() string {
		t.Helper()
		d.raw(AgentGit, strings.NewReader(""))
		records := d.records()
		r := records[len(records)-1]
		var all []string
		for _, g := range r.Gaps {
			all = append(all, g.Reason)
		}
		return strings.Join(all, "; ")
	}
	if got := gaps(); got != "nothing was installed by stemma init" {
		t.Errorf("before the installation: %q", got)
	}
	settings := filepath.Join(t.TempDir(), "settings.json")
	write(t, settings, `{"hooks":"stemma-hook claudecode"}`)
	write(t, filepath.Join(d.home, Installed, "journal.json"), `{"entries":[{"path":`+quote(settings)+`,"mark":["stemma-hook claudecode"]}]}`)
	if got := gaps(); got != "" {
		t.Errorf("as it was installed: %q", got)
	}
	write(t, settings, `{}`)
	if got := gaps(); got != "a hook was taken out of settings.json" {
		t.Errorf("with a hook taken out: %q", got)
	}
	os.Remove(settings)
	if got := gaps(); got != "settings.json is not there" {
		t.Errorf("with the settings gone: %q", got)
	}
}
