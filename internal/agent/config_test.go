package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stemma-dev/stemma/internal/agent"
)

func TestConfiguration(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	write := func(dir, name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(dir, "CLAUDE.md", "be kind")
	write(dir, ".claude/settings.json", "{}")
	write(dir, ".claude/skills/review/SKILL.md", "look")
	write(dir, "README.md", "not a configuration")
	write(home, ".claude/CLAUDE.md", "always")
	write(home, "secret", "of somebody")
	if err := os.Symlink(filepath.Join(home, "secret"), filepath.Join(dir, "AGENTS.md")); err != nil {
		t.Fatal(err)
	}
	before, skipped := agent.Configuration(dir, home)
	got := ""
	for _, c := range before {
		got += fmt.Sprintf("%s %s %s %d; ", c.Scope, c.Kind, c.Path, c.Bytes)
	}
	want := "repository settings .claude/settings.json 2; repository skills .claude/skills/review/SKILL.md 4; repository rules CLAUDE.md 7; user rules .claude/CLAUDE.md 6; "
	if got != want || len(skipped) != 0 {
		t.Errorf("Configuration = %s, skipped %v\nwant %s", got, skipped, want)
	}

	write(dir, "CLAUDE.md", "be quick")
	write(dir, ".mcp.json", "{}")
	if err := os.Remove(filepath.Join(dir, ".claude/settings.json")); err != nil {
		t.Fatal(err)
	}
	now, _ := agent.Configuration(dir, home)
	d := agent.DriftBetween(before, now)
	if len(d.Added) != 1 || d.Added[0].Path != ".mcp.json" || len(d.Removed) != 1 || d.Removed[0].Path != ".claude/settings.json" ||
		len(d.Changed) != 1 || d.Changed[0].Path != "CLAUDE.md" {
		t.Errorf("DriftBetween = %+v", d)
	}
	if d := agent.DriftBetween(now, now); len(d.Added)+len(d.Removed)+len(d.Changed) != 0 {
		t.Errorf("a configuration differs from itself: %+v", d)
	}
}
