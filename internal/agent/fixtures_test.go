package agent_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/agent/agenttest"
)

// readFile reads the transcript at path with the decoder that recognises it; nil
// where none does.
func readFile(t *testing.T, path string) (agent.Decoder, agent.Reading) {
	t.Helper()
	src, closer, err := agent.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	d, err := family.Recognise(src)
	if err != nil || d == nil {
		return nil, agent.Reading{}
	}
	r, err := d.Read(t.Context(), src, agent.State{})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	agenttest.Check(t, r)
	return d, r
}

// line tells in one line what a reading gave.
func line(d agent.Decoder, r agent.Reading) string {
	var turns, calls, gaps int
	var models []string
	var tokens int64
	for _, s := range r.Sessions {
		if u := s.Usage(); u != nil {
			tokens += u.Output
		}
		for _, g := range s.Gaps {
			gaps += g.Count
		}
		for _, turn := range s.Turns {
			turns++
			calls += len(turn.Calls)
			for _, m := range turn.Models {
				if key := m.Model.Key(); !slices.Contains(models, key) {
					models = append(models, key)
				}
			}
		}
	}
	return fmt.Sprintf("%s: %d sessions, %d turns, %d calls, %d gaps, %d tokens out, models %s", d.Agent(), len(r.Sessions), turns, calls, gaps, tokens, strings.Join(models, " "))
}

// TestSharedFixtures reads the transcripts of others that lie beside the
// repository. They are not part of it: without them, the children's own test
// data of the same shape stands for them.
func TestSharedFixtures(t *testing.T) {
	root := filepath.Join("..", "..", "..", "shared", "fixtures", "transcripts")
	if _, err := os.Stat(root); err != nil {
		root = filepath.Join("..", root)
	}
	if _, err := os.Stat(root); err != nil {
		t.Log("no shared fixtures beside the repository")
		return
	}
	want := map[string]string{
		"amp-threads/T-019ca1ce-3ae2-7686-a41e-ccc078837f8a.json":                         "amp: 1 sessions, 1 turns, 4 calls, 0 gaps, 555 tokens out, models anthropic/claude-opus-4-6",
		"amp-threads/T-019ca1f6-7f21-77b5-a308-65416ebbdf48.json":                         "amp: 1 sessions, 1 turns, 2 calls, 0 gaps, 270 tokens out, models anthropic/claude-opus-4-6",
		"claude-code-with-plan.jsonl":                                                     "claude-code: 1 sessions, 1 turns, 3 calls, 0 gaps, 405 tokens out, models anthropic/claude-sonnet-4-20250514",
		"claude-code-with-thinking.jsonl":                                                 "claude-code: 1 sessions, 1 turns, 1 calls, 0 gaps, 484 tokens out, models anthropic/claude-sonnet-4-5-20250929",
		"claude-model-not-last.jsonl":                                                     "claude-code: 1 sessions, 1 turns, 0 calls, 0 gaps, 27 tokens out, models anthropic/claude-opus-4-6",
		"example-claude-code.jsonl":                                                       "claude-code: 1 sessions, 1 turns, 13 calls, 0 gaps, 3306 tokens out, models anthropic/claude-sonnet-4-20250514",
		"codex-session-simple.jsonl":                                                      "codex: 1 sessions, 1 turns, 1 calls, 0 gaps, 0 tokens out, models openai/gpt-5-codex",
		"codex-session-updated.jsonl":                                                     "codex: 1 sessions, 1 turns, 2 calls, 0 gaps, 0 tokens out, models openai/gpt-5.1-codex",
		"continue-cli-session-simple.json":                                                "continue: 1 sessions, 1 turns, 2 calls, 0 gaps, 305 tokens out, models ",
		"copilot_chat_session_lookup_auto.jsonl":                                          "copilot-vscode: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models anthropic/claude-sonnet-4-5",
		"copilot_chat_session_lookup_details_only.jsonl":                                  "copilot-vscode: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models anthropic/claude-sonnet-4-5",
		"copilot_chat_session_lookup_json_file.json":                                      "copilot-vscode: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models openai/gpt-4o-mini",
		"copilot_chat_session_lookup_non_auto.jsonl":                                      "copilot-vscode: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models openai/gpt-4o",
		"copilot_chat_session_lookup_selected_model.jsonl":                                "copilot-vscode: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models anthropic/claude-sonnet-4",
		"copilot_cli_session_events.jsonl":                                                "copilot-cli: 1 sessions, 1 turns, 1 calls, 0 gaps, 0 tokens out, models openai/gpt-4.1",
		"copilot_cli_session_no_model.jsonl":                                              "copilot-cli: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models ",
		"copilot_session_empty_then_patched.jsonl":                                        "copilot-vscode: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models openai/gpt-4o",
		"copilot_session_event_stream.jsonl":                                              "copilot-vscode: 1 sessions, 1 turns, 2 calls, 0 gaps, 0 tokens out, models ",
		"copilot_session_multiline.jsonl":                                                 "copilot-vscode: 1 sessions, 2 turns, 2 calls, 0 gaps, 73 tokens out, models openai/gpt-4o",
		"copilot_session_simple.json":                                                     "copilot-vscode: 1 sessions, 3 turns, 5 calls, 0 gaps, 0 tokens out, models anthropic/claude-sonnet-4",
		"copilot_session_simple.jsonl":                                                    "copilot-vscode: 1 sessions, 3 turns, 5 calls, 0 gaps, 0 tokens out, models anthropic/claude-sonnet-4",
		"copilot_transcript_session_lookup.jsonl":                                         "copilot-cli: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models ",
		"copilot_vscode_event_stream.jsonl":                                               "copilot-vscode: 1 sessions, 1 turns, 2 calls, 0 gaps, 0 tokens out, models ",
		"copilot_vscode_workspace/GitHub.copilot-chat/transcripts/test-session-abc.jsonl": "copilot-vscode: 1 sessions, 1 turns, 1 calls, 0 gaps, 0 tokens out, models ",
		"cursor-session-simple.jsonl":                                                     "cursor: 1 sessions, 1 turns, 10 calls, 10 gaps, 0 tokens out, models ",
		"droid-session.jsonl":                                                             "droid: 1 sessions, 1 turns, 5 calls, 0 gaps, 1450 tokens out, models unknown/custom:byok-gpt-5-mini-0",
		"gemini-session-simple.jsonl":                                                     "gemini-cli: 1 sessions, 1 turns, 4 calls, 0 gaps, 0 tokens out, models google/gemini-2.5-flash",
		"opencode-sqlite-empty/opencode.db":                                               "opencode: 0 sessions, 0 turns, 0 calls, 0 gaps, 0 tokens out, models ",
		"opencode-sqlite/opencode.db":                                                     "opencode: 1 sessions, 1 turns, 1 calls, 0 gaps, 20 tokens out, models openai/gpt-5",
		"opencode-storage":                                                                "opencode: 1 sessions, 1 turns, 1 calls, 0 gaps, 0 tokens out, models anthropic/claude-3-5-sonnet-20241022",
		"pi-session-ignorable.jsonl":                                                      "pi: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models openai/gpt-5",
		"pi-session-simple.jsonl":                                                         "pi: 1 sessions, 1 turns, 0 calls, 0 gaps, 0 tokens out, models anthropic/claude-sonnet-4-5",
		"pi-session-tool.jsonl":                                                           "pi: 1 sessions, 1 turns, 1 calls, 0 gaps, 0 tokens out, models anthropic/claude-sonnet-4-5",
		"windsurf-session-simple.jsonl":                                                   "windsurf: 1 sessions, 4 turns, 18 calls, 0 gaps, 0 tokens out, models ",
	}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		d, r := readFile(t, path)
		got := ""
		if d != nil {
			got = line(d, r)
		}
		if got != want[rel] {
			t.Errorf("%s:\n got %s\nwant %s", rel, got, want[rel])
		}
		delete(want, rel)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("walk the fixtures: %v; not there: %v", err, want)
	}
}

// fields are what doc/agents.md tells of each agent, and how a session shows
// that its transcript has it.
var fields = []struct {
	name string
	has  func(*agent.Session) bool
}{
	{"session id", func(s *agent.Session) bool { return s.ID != "" }},
	{"version of the tool", func(s *agent.Session) bool { return s.Version != "" }},
	{"title", func(s *agent.Session) bool { return s.Title != "" }},
	{"start and end", func(s *agent.Session) bool { return !s.Start.IsZero() && !s.End.IsZero() }},
	{"working directory", func(s *agent.Session) bool { return s.Base.Dir != "" }},
	{"git branch", func(s *agent.Session) bool { return s.Base.Branch != "" }},
	{"git commit", func(s *agent.Session) bool { return s.Base.Commit != "" }},
	{"parent session", func(s *agent.Session) bool { return s.Parent != nil }},
	{"prompts", anyTurn(func(t *agent.Turn) bool { return t.Prompt != nil })},
	{"answers", anyTurn(func(t *agent.Turn) bool { return t.Answer != nil })},
	{"images", anyTurn(func(t *agent.Turn) bool { return t.Images > 0 })},
	{"thinking", anyTurn(func(t *agent.Turn) bool { return t.Thinking > 0 })},
	{"model of each turn", anyTurn(func(t *agent.Turn) bool {
		return slices.ContainsFunc(t.Models, func(m agent.ModelUse) bool { return m.Model.Known() })
	})},
	{"tokens of each turn", anyTurn(func(t *agent.Turn) bool { return t.Usage() != nil })},
	{"tokens of the session", func(s *agent.Session) bool { return s.Total != nil && s.Total.Usage != nil }},
	{"cost", func(s *agent.Session) bool { u := s.Usage(); return u != nil && u.Cost != nil }},
	{"effort", anyTurn(func(t *agent.Turn) bool { return t.Effort != "" })},
	{"permission mode", anyTurn(func(t *agent.Turn) bool { return t.Mode != "" })},
	{"interruptions", anyTurn(func(t *agent.Turn) bool { return t.Interrupted })},
	{"compactions", func(s *agent.Session) bool { return len(s.Compactions) > 0 }},
	{"outcome of calls", anyCall(func(c *agent.Call) bool { return c.Outcome != "" })},
	{"time of calls", anyCall(func(c *agent.Call) bool { return !c.Start.IsZero() })},
	{"accepted", anyCall(decided(agent.Accepted))},
	{"rejected", anyCall(decided(agent.Rejected))},
	{"edited by the person", anyCall(decided(agent.Edited))},
	{"redirected", anyCall(decided(agent.Redirected))},
	{"automatic", anyCall(decided(agent.Automatic))},
	{"files read", anyCall(func(c *agent.Call) bool { return touched(c, agent.Read) })},
	{"files written", anyCall(func(c *agent.Call) bool { return touched(c, agent.Write) || touched(c, agent.Create) })},
	{"lines written", anyCall(func(c *agent.Call) bool {
		return slices.ContainsFunc(c.Files, func(f agent.File) bool { return f.Added > 0 })
	})},
	{"tests run", anyCall(func(c *agent.Call) bool { return c.Test != nil })},
	{"result of tests", anyCall(func(c *agent.Call) bool { return c.Test != nil && c.Test.Result != "" })},
	{"exit status", anyCall(func(c *agent.Call) bool { return c.Exit != nil })},
	{"sub-agents asked for", anyCall(func(c *agent.Call) bool { return c.Spawn != nil })},
	{"session of the sub-agent", anyCall(func(c *agent.Call) bool { return c.Spawn != nil && c.Spawn.Session != "" })},
}

func anyTurn(has func(*agent.Turn) bool) func(*agent.Session) bool {
	return func(s *agent.Session) bool { return slices.ContainsFunc(s.Turns, has) }
}

func anyCall(has func(*agent.Call) bool) func(*agent.Session) bool {
	return anyTurn(func(t *agent.Turn) bool { return slices.ContainsFunc(t.Calls, has) })
}

func decided(d agent.Decision) func(*agent.Call) bool {
	return func(c *agent.Call) bool { return c.Decision == d }
}

func touched(c *agent.Call, a agent.Access) bool {
	return slices.ContainsFunc(c.Files, func(f agent.File) bool { return f.Access == a })
}

// TestTable holds the table of doc/agents.md against what the decoders give for
// the children's test data.
func TestTable(t *testing.T) {
	sessions := make(map[string][]agent.Session)
	files, err := filepath.Glob("*/testdata/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var r agent.Reading
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, s := range r.Sessions {
			sessions[s.Agent] = append(sessions[s.Agent], s)
		}
	}
	var names []string
	for _, d := range family {
		names = append(names, d.Agent())
	}
	var table strings.Builder
	table.WriteString("| |")
	for _, name := range names {
		fmt.Fprintf(&table, " %s |", stemma.AgentName(name))
	}
	table.WriteString("\n|---|" + strings.Repeat("---|", len(names)) + "\n")
	for _, f := range fields {
		fmt.Fprintf(&table, "| %s |", f.name)
		for _, name := range names {
			has := " "
			for i := range sessions[name] {
				if f.has(&sessions[name][i]) {
					has = " yes "
				}
			}
			table.WriteString(has + "|")
		}
		table.WriteString("\n")
	}
	path := filepath.Join("..", "..", "doc", "agents.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(table.String())) {
		t.Errorf("%s does not hold the table that the decoders give:\n%s", path, table.String())
	}
}
