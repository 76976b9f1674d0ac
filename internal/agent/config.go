package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// ConfigDigest is one file that configures an agent, by digest.
type ConfigDigest struct {
	Kind  string `json:"kind"`  // what it is: see [Configuration]
	Scope string `json:"scope"` // "repository" or "user"
	// Path is its path within the repository or the user's home.
	Path   string `json:"path"`
	Digest string `json:"digest"` // hex SHA-256 of the file
	Bytes  int64  `json:"bytes"`
}

// The kinds of configuration.
const (
	ConfigRules    = "rules"    // what the agent is told: CLAUDE.md, AGENTS.md, ...
	ConfigSettings = "settings" // of the tool, with its permissions
	ConfigHooks    = "hooks"
	ConfigMCP      = "mcp" // servers of the Model Context Protocol
	ConfigSkills   = "skills"
	ConfigAgents   = "agents"   // roles of sub-agents
	ConfigCommands = "commands" // prompts that are called by name
)

// configPatterns are the files that configure agents, in a repository and in a
// user's home. "**" stands for any folders, up to a depth of six.
var configPatterns = []struct {
	scope, kind, pattern string
}{
	{"repository", ConfigRules, "CLAUDE.md"},
	{"repository", ConfigRules, "CLAUDE.local.md"},
	{"repository", ConfigRules, ".claude/CLAUDE.md"},
	{"repository", ConfigRules, ".claude/rules/**"},
	{"repository", ConfigRules, "AGENTS.md"},
	{"repository", ConfigRules, "AGENTS.override.md"},
	{"repository", ConfigRules, "AGENT.md"},
	{"repository", ConfigRules, "GEMINI.md"},
	{"repository", ConfigRules, ".cursorrules"},
	{"repository", ConfigRules, ".cursor/rules/**"},
	{"repository", ConfigRules, ".windsurfrules"},
	{"repository", ConfigRules, ".windsurf/rules/**"},
	{"repository", ConfigRules, ".github/copilot-instructions.md"},
	{"repository", ConfigRules, ".github/instructions/**"},
	{"repository", ConfigRules, ".continue/rules/**"},
	{"repository", ConfigRules, ".factory/rules/**"},
	{"repository", ConfigSettings, ".claude/settings.json"},
	{"repository", ConfigSettings, ".claude/settings.local.json"},
	{"repository", ConfigSettings, ".codex/config.toml"},
	{"repository", ConfigSettings, ".gemini/settings.json"},
	{"repository", ConfigSettings, ".factory/settings.json"},
	{"repository", ConfigSettings, "opencode.json"},
	{"repository", ConfigSettings, ".opencode/opencode.json"},
	{"repository", ConfigHooks, ".codex/hooks.json"},
	{"repository", ConfigHooks, ".cursor/hooks.json"},
	{"repository", ConfigHooks, ".github/hooks/**"},
	{"repository", ConfigHooks, ".claude/hooks/**"},
	{"repository", ConfigMCP, ".mcp.json"},
	{"repository", ConfigMCP, ".cursor/mcp.json"},
	{"repository", ConfigMCP, ".vscode/mcp.json"},
	{"repository", ConfigSkills, ".claude/skills/**"},
	{"repository", ConfigAgents, ".claude/agents/**"},
	{"repository", ConfigAgents, ".opencode/agent/**"},
	{"repository", ConfigCommands, ".claude/commands/**"},
	{"repository", ConfigCommands, ".github/prompts/**"},
	{"user", ConfigRules, ".claude/CLAUDE.md"},
	{"user", ConfigRules, ".codex/AGENTS.md"},
	{"user", ConfigRules, ".gemini/GEMINI.md"},
	{"user", ConfigSettings, ".claude/settings.json"},
	{"user", ConfigSettings, ".codex/config.toml"},
	{"user", ConfigSettings, ".gemini/settings.json"},
	{"user", ConfigSettings, ".factory/settings.json"},
	{"user", ConfigSettings, ".config/opencode/opencode.json"},
	{"user", ConfigHooks, ".codex/hooks.json"},
	{"user", ConfigHooks, ".cursor/hooks.json"},
	{"user", ConfigHooks, ".codeium/hooks.json"},
	{"user", ConfigHooks, ".codeium/windsurf/hooks.json"},
	{"user", ConfigMCP, ".cursor/mcp.json"},
	{"user", ConfigMCP, ".codeium/windsurf/mcp_config.json"},
	{"user", ConfigSkills, ".claude/skills/**"},
	{"user", ConfigAgents, ".claude/agents/**"},
	{"user", ConfigCommands, ".claude/commands/**"},
	{"user", ConfigCommands, ".codex/prompts/**"},
}

// ConfigFile is a file that configures an agent, with its text. Text is "" where
// it is no text, or over a limit: a digest stands for every file.
type ConfigFile struct {
	ConfigDigest
	Text string `json:"text,omitempty"`
}

// The limits of what is read of a configuration. Texts are kept of files that
// are not long, and of so many that they are not long together.
const (
	maxConfigFile  = 4 << 20
	maxConfigFiles = 2000
	maxConfigText  = 256 << 10
	maxConfigTexts = 1 << 20
)

// Configuration gives what [ReadConfiguration] does, without the texts.
func Configuration(repository, home string) (files []ConfigDigest, skipped []string) {
	read, skipped := ReadConfiguration(repository, home)
	return Digests(read), skipped
}

// Digests gives files without their texts.
func Digests(files []ConfigFile) []ConfigDigest {
	var all []ConfigDigest
	for _, f := range files {
		all = append(all, f.ConfigDigest)
	}
	return all
}

// ReadConfiguration gives the files that configure agents in a repository's work
// tree and in a user's home, sorted; either folder may be "". Links that lead out
// of the folder are not followed. Files that can not be read are left out, and
// named in skipped.
func ReadConfiguration(repository, home string) (files []ConfigFile, skipped []string) {
	kept := 0
	for _, scope := range []struct{ name, dir string }{{"repository", repository}, {"user", home}} {
		if scope.dir == "" {
			continue
		}
		root, err := os.OpenRoot(scope.dir)
		if err != nil {
			skipped = append(skipped, scope.dir)
			continue
		}
		fsys := root.FS()
		for _, p := range configPatterns {
			if p.scope != scope.name {
				continue
			}
			for _, name := range matching(fsys, p.pattern) {
				if len(files) >= maxConfigFiles {
					skipped = append(skipped, name)
					continue
				}
				text, err := readConfig(fsys, name)
				if err != nil {
					skipped = append(skipped, name)
					continue
				}
				sum := sha256.Sum256(text)
				f := ConfigFile{ConfigDigest: ConfigDigest{p.kind, p.scope, name, hex.EncodeToString(sum[:]), int64(len(text))}}
				if len(text) <= maxConfigText && kept+len(text) <= maxConfigTexts && utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 {
					f.Text = string(text)
					kept += len(text)
				}
				files = append(files, f)
			}
		}
		root.Close()
	}
	slices.SortFunc(files, func(a, b ConfigFile) int {
		return strings.Compare(a.Scope+"\x00"+a.Path, b.Scope+"\x00"+b.Path)
	})
	return files, skipped
}

// matching gives the files that a pattern names.
func matching(fsys fs.FS, pattern string) []string {
	dir, all := strings.CutSuffix(pattern, "/**")
	if !all {
		if info, err := fs.Stat(fsys, pattern); err != nil || !info.Mode().IsRegular() {
			return nil
		}
		return []string{pattern}
	}
	var names []string
	_ = fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || len(names) >= maxConfigFiles:
			return fs.SkipDir
		case d.IsDir() && strings.Count(strings.TrimPrefix(name, dir), "/") > 6:
			return fs.SkipDir
		case d.Type().IsRegular():
			names = append(names, path.Clean(name))
		}
		return nil
	})
	return names
}

var errTooLarge = errors.New("over the limit")

func readConfig(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err == nil && len(text) > maxConfigFile {
		err = errTooLarge
	}
	return text, err
}

// Drift is what differs between two configurations.
type Drift struct {
	Added   []ConfigDigest `json:"added,omitempty"`
	Removed []ConfigDigest `json:"removed,omitempty"`
	Changed []ConfigDigest `json:"changed,omitempty"` // as they are now
	Was     []ConfigDigest `json:"was,omitempty"`     // those that changed, as they were
}

// DriftBetween compares the configurations of two sessions.
func DriftBetween(before, now []ConfigDigest) Drift {
	var d Drift
	was := make(map[[2]string]ConfigDigest)
	for _, c := range before {
		was[[2]string{c.Scope, c.Path}] = c
	}
	for _, c := range now {
		key := [2]string{c.Scope, c.Path}
		switch then, ok := was[key]; {
		case !ok:
			d.Added = append(d.Added, c)
		case then.Digest != c.Digest:
			d.Changed, d.Was = append(d.Changed, c), append(d.Was, then)
		}
		delete(was, key)
	}
	for _, c := range before {
		if _, gone := was[[2]string{c.Scope, c.Path}]; gone {
			d.Removed = append(d.Removed, c)
		}
	}
	return d
}
