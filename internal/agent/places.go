package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Place is where an agent keeps transcripts in a user's home.
type Place struct {
	Agent string // key of the agent
	Dir   string // below the home
	Under string // a part that the path of every transcript has, with slashes; "" is any
	Ends  []string
}

// Places are where agents keep their transcripts, as their makers document it or
// as it was seen.
var Places = []Place{
	{"claude-code", ".claude/projects", "", []string{".jsonl"}},
	{"codex", ".codex/sessions", "/rollout-", []string{".jsonl"}},
	{"codex", ".codex/archived_sessions", "/rollout-", []string{".jsonl"}},
	{"gemini-cli", ".gemini/tmp", "/chats/session-", []string{".jsonl", ".json"}},
	{"cursor", ".cursor/projects", "/agent-transcripts/", []string{".jsonl"}},
	{"copilot-cli", ".copilot/session-state", "/events.jsonl", []string{".jsonl"}},
	{"copilot-vscode", ".config/Code/User/workspaceStorage", "/GitHub.copilot-chat/transcripts/", []string{".jsonl"}},
	{"copilot-vscode", ".config/Code/User/workspaceStorage", "/chatSessions/", []string{".json", ".jsonl"}},
	{"copilot-vscode", "Library/Application Support/Code/User/workspaceStorage", "/GitHub.copilot-chat/transcripts/", []string{".jsonl"}},
	{"copilot-vscode", "Library/Application Support/Code/User/workspaceStorage", "/chatSessions/", []string{".json", ".jsonl"}},
	{"opencode", ".local/share/opencode", "/opencode.db", []string{".db"}},
	{"windsurf", ".windsurf/transcripts", "", []string{".jsonl"}},
	{"droid", ".factory/sessions", "", []string{".jsonl"}},
	{"amp", ".local/share/amp/threads", "/T-", []string{".json"}},
	{"pi", ".pi/agent/sessions", "", []string{".jsonl"}},
	{"continue", ".continue/sessions", "", []string{".json"}},
}

// Subagents gives the transcripts of the sub-agents of the session whose transcript
// is at path, where its agent keeps them beside it as Claude Code and Cursor do:
// in <session>/subagents.
func Subagents(path string) []string {
	var all []string
	for _, dir := range []string{filepath.Join(strings.TrimSuffix(path, filepath.Ext(path)), "subagents"), filepath.Join(filepath.Dir(path), "subagents")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // there are none
		}
		for _, e := range entries[:min(len(entries), maxSessions)] {
			if e.Type().IsRegular() && filepath.Ext(e.Name()) == ".jsonl" {
				all = append(all, filepath.Join(dir, e.Name()))
			}
		}
	}
	return all
}

// maxFound is how many transcripts are looked for.
const maxFound = 200_000

// Transcripts gives the files below folders that may be transcripts, sorted: in
// the places of the agents below home, and everything in the further folders or
// files. Links are not followed. What can not be read is left out.
func Transcripts(home string, further ...string) []string {
	var all []string
	look := func(dir string, take func(slashed string) bool) {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case len(all) >= maxFound:
				return fs.SkipAll
			case err != nil:
				return nil
			case d.Type().IsRegular() && take(filepath.ToSlash(path)):
				all = append(all, path)
			}
			return nil
		})
	}
	if home != "" {
		for _, p := range Places {
			look(filepath.Join(home, filepath.FromSlash(p.Dir)), func(path string) bool {
				return strings.Contains(path, p.Under) && slices.ContainsFunc(p.Ends, func(end string) bool { return strings.HasSuffix(path, end) })
			})
		}
	}
	for _, dir := range further {
		if info, err := os.Stat(filepath.Join(dir, "message")); err == nil && info.IsDir() {
			all = append(all, dir) // a storage folder of OpenCode is one transcript
			continue
		}
		look(dir, func(path string) bool {
			return slices.ContainsFunc([]string{".json", ".jsonl", ".db"}, func(end string) bool { return strings.HasSuffix(path, end) })
		})
	}
	slices.Sort(all)
	return slices.Compact(all)
}
