package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailscale/hujson"

	"github.com/stemma-dev/stemma"
)

// house is a home with files in it, and the folder of the journal.
func house(t *testing.T, files map[string]string) (Config, string) {
	t.Helper()
	root := t.TempDir()
	home := filepath.Join(root, "home")
	for path, text := range files {
		full := filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return Config{Home: home, Hook: "'/opt/stem ma/stemma-hook'", Agents: Agents()}, filepath.Join(root, "journal")
}

// tree reads every file below a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		st, serr := os.Stat(path)
		rel, _ := filepath.Rel(dir, path)
		if serr == nil {
			all[rel] = st.Mode().String() + "\n" + string(text)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

func install(t *testing.T, cfg Config, journal string) []Edit {
	t.Helper()
	edits, skipped, err := Plan(cfg)
	if err != nil || len(skipped) > 0 {
		t.Fatalf("plan: %v, skipped %v", err, skipped)
	}
	if err := Apply(journal, edits); err != nil {
		t.Fatal(err)
	}
	return Changed(edits)
}

func undo(t *testing.T, journal string) []Undone {
	t.Helper()
	done, err := Undo(journal)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range done {
		if u.Err != nil {
			t.Errorf("undo %s: %v", u.Path, u.Err)
		}
	}
	return done
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for path, text := range want {
		if got[path] != text {
			t.Errorf("%s is\n%s\nwant\n%s", path, got[path], text)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s is left", path)
		}
	}
}

const commented = `// my settings
{
	"model": "opus", // the large one
	"hooks": {
		"PreToolUse": [
			{"matcher": "Bash", "hooks": [{"type": "command", "command": "guard --strict"}]}, // keep
		],
	},
	"permissions": {"deny": ["Read(.env)"]},
}
`

func TestInstallAndUndoByTheByte(t *testing.T) {
	cfg, journal := house(t, map[string]string{
		".claude/settings.json":           commented,
		".cursor/hooks.json":              `{"version":1,"hooks":{"stop":[{"command":"notify"}]}}`,
		".gemini/settings.json":           "{\r\n  \"theme\": \"dark\",\r\n  \"tools\": {\"sandbox\": true}\r\n}\r\n",
		".factory/settings.json":          "",
		".codeium/windsurf/hooks.json":    "{}",
		".config/opencode/plugins/own.js": "export const Own = 1\n",
	})
	before := tree(t, cfg.Home)
	if n := len(install(t, cfg, journal)); n != len(Agents()) {
		t.Errorf("%d files were changed, want one for each agent", n)
	}
	for _, want := range []string{"// my settings", "// the large one", "guard --strict", "// keep", `stemma-hook' claudecode`} {
		if text := tree(t, cfg.Home)[".claude/settings.json"]; !strings.Contains(text, want) {
			t.Errorf("settings lack %q:\n%s", want, text)
		}
	}
	if text := tree(t, cfg.Home)[".gemini/settings.json"]; !strings.Contains(text, `"sandbox": true`) || !strings.Contains(text, `"enableHooks":true`) {
		t.Errorf("gemini's tools are\n%s", text)
	}
	again, _, err := Plan(cfg)
	if err != nil || len(Changed(again)) != 0 {
		t.Errorf("a second plan changes %d files, %v", len(Changed(again)), err)
	}
	status, err := Check(journal)
	if err != nil || len(status) != len(Agents()) {
		t.Errorf("check: %v, %v", status, err)
	}
	for _, s := range status {
		if s.Fault != "" {
			t.Errorf("%s: %s", s.Path, s.Fault)
		}
	}
	undo(t, journal)
	same(t, tree(t, cfg.Home), before)
	if _, err := os.Stat(journal); err == nil {
		t.Error("the journal is left")
	}
	undo(t, journal) // once more is no error
}

// The settings that come out are what the agent reads: each event runs the
// hook's command.
func TestEveryEventRunsTheHook(t *testing.T) {
	cfg, journal := house(t, nil)
	install(t, cfg, journal)
	for _, a := range agents {
		if a.whole != nil {
			continue
		}
		text, err := os.ReadFile(a.path(cfg))
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Hooks map[string][]json.RawMessage `json:"hooks"`
		}
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatalf("%s: %v", a.Name, err)
		}
		for _, event := range a.Events {
			if len(s.Hooks[event]) != 1 || !bytes.Contains(s.Hooks[event][0], []byte(quoted(a.command(cfg, event)))) {
				t.Errorf("%s at %s runs %s", a.Name, event, s.Hooks[event])
			}
		}
	}
}

// A sub-agent was known by its calls and its end only: of one that was stopped before
// it had called anything, nothing told. Agents that say when one begins are heard.
func TestSubagentsAreHeardWhenTheyBegin(t *testing.T) {
	cfg, journal := house(t, nil)
	install(t, cfg, journal)
	for path, events := range map[string][]string{
		".claude/settings.json": {`"SubagentStart"`, `"SubagentStop"`},
		".codex/hooks.json":     {`"SubagentStart"`, `"SubagentStop"`},
		".cursor/hooks.json":    {`"subagentStart"`, `"subagentStop"`},
	} {
		text, err := os.ReadFile(filepath.Join(cfg.Home, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			if !bytes.Contains(text, []byte(event)) {
				t.Errorf("%s has no hook at %s", path, event)
			}
		}
	}
}

// What somebody changed after the installation stays when it is undone.
func TestUndoKeepsWhatOthersChangedSince(t *testing.T) {
	cfg, journal := house(t, map[string]string{".claude/settings.json": commented})
	cfg.Agents = []string{"claudecode"}
	install(t, cfg, journal)
	path := filepath.Join(cfg.Home, ".claude/settings.json")
	text, _ := os.ReadFile(path)
	changed := bytes.Replace(text, []byte(`"opus"`), []byte(`"haiku"`), 1)
	os.WriteFile(path, changed, 0o640)

	// installing again, after the change, keeps the change too
	if n := len(install(t, cfg, journal)); n != 0 {
		t.Errorf("%d files were changed", n)
	}
	done := undo(t, journal)
	if len(done) != 1 || !done[0].Changed {
		t.Errorf("undone %+v", done)
	}
	got, _ := os.ReadFile(path)
	if want := strings.Replace(commented, `"opus"`, `"haiku"`, 1); !equivalent(t, got, []byte(want)) {
		t.Errorf("settings are\n%s", got)
	}
}

// equivalent compares JSON with comments by what it says.
func equivalent(t *testing.T, a, b []byte) bool {
	t.Helper()
	x, err := hujson.Minimize(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := hujson.Minimize(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y) && bytes.Contains(a, []byte("// my settings")) && !ours(a)
}

func TestHookThatWasTakenOutIsAFault(t *testing.T) {
	cfg, journal := house(t, nil)
	cfg.Agents = []string{"claudecode", "codex"}
	install(t, cfg, journal)
	os.WriteFile(filepath.Join(cfg.Home, ".claude/settings.json"), []byte("{}"), 0o600)
	os.Remove(filepath.Join(cfg.Home, ".codex/hooks.json"))
	status, err := Check(journal)
	if err != nil || len(status) != 2 || status[0].Fault == "" || status[1].Fault == "" {
		t.Errorf("check: %+v, %v", status, err)
	}
}

func TestSettingsThatCanNotBeEditedAreLeftAlone(t *testing.T) {
	for name, text := range map[string]string{
		"broken": `{"hooks": `, "a list": `[]`, "hooks are a list": `{"hooks": []}`, "an event is a word": `{"hooks": {"PreToolUse": "no"}}`,
	} {
		cfg, _ := house(t, map[string]string{".claude/settings.json": text})
		cfg.Agents = []string{"claudecode"}
		edits, skipped, err := Plan(cfg)
		if err != nil || len(edits) != 0 || len(skipped) != 1 || !errors.Is(skipped[0].Err, stemma.ErrInvalid) {
			t.Errorf("%s: edits %v, skipped %v, %v", name, edits, skipped, err)
		}
	}
	cfg, _ := house(t, nil)
	cfg.Agents = []string{"hal9000"}
	if _, _, err := Plan(cfg); !errors.Is(err, stemma.ErrInvalid) {
		t.Errorf("an agent that nobody knows: %v", err)
	}
}

func TestFileThatChangesBetweenPlanAndApply(t *testing.T) {
	cfg, journal := house(t, map[string]string{".claude/settings.json": "{}"})
	cfg.Agents = []string{"claudecode"}
	edits, _, err := Plan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(cfg.Home, ".claude/settings.json"), []byte(`{"a":1}`), 0o600)
	if err := Apply(journal, edits); !errors.Is(err, stemma.ErrConflict) {
		t.Errorf("apply: %v, want a conflict", err)
	}
}

func TestSettingsBehindALinkAreEditedWhereTheyAre(t *testing.T) {
	cfg, journal := house(t, map[string]string{"dotfiles/claude.json": "{}\n"})
	cfg.Agents = []string{"claudecode"}
	os.Mkdir(filepath.Join(cfg.Home, ".claude"), 0o755)
	link := filepath.Join(cfg.Home, ".claude/settings.json")
	os.Symlink("../dotfiles/claude.json", link)
	before := tree(t, cfg.Home)
	install(t, cfg, journal)
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	undo(t, journal)
	same(t, tree(t, cfg.Home), before)
}

// A hook of git that is there already runs as before, also in another language,
// and stops git where it did.
func TestGitHooksRunWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	hooks := filepath.Join(dir, "hooks")
	os.Mkdir(hooks, 0o755)
	hook := filepath.Join(dir, "stemma-hook")
	script := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script(hook, "#!/bin/sh\necho \"stemma $*\" >>"+dir+"/ran\n")
	script(filepath.Join(hooks, "post-commit"), "#!/bin/sh\necho own \"$@\" >>"+dir+"/ran\nexit 3\n")
	script(filepath.Join(hooks, "pre-push"), "#!/usr/bin/env perl\nopen F, '>>', '"+dir+"/ran'; print F 'perl ', <STDIN>; exit 4;\n")
	cfg := Config{Home: dir, Agents: []string{}, Hook: hook, Hooks: hooks}
	before := tree(t, hooks)
	journal := filepath.Join(dir, "journal")
	install(t, cfg, journal)
	if edits, _, err := Plan(cfg); err != nil || len(Changed(edits)) != 0 {
		t.Errorf("a second plan changes %d files, %v", len(Changed(edits)), err)
	}
	run := func(name string, code int, want ...string) {
		t.Helper()
		os.Remove(filepath.Join(dir, "ran"))
		cmd := exec.Command(filepath.Join(hooks, name), "a b")
		cmd.Stdin = strings.NewReader("refs\n")
		err := cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%s ended with %d (%v), want %d", name, got, err, code)
		}
		// stemma's part runs beside the other, and may end after it.
		var ran []string
		for range 1000 {
			text, _ := os.ReadFile(filepath.Join(dir, "ran"))
			if ran = strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' }); len(ran) >= len(want) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		slices.Sort(ran)
		if !slices.Equal(ran, want) {
			t.Errorf("%s ran %q, want %q", name, ran, want)
		}
	}
	run("post-commit", 3, "own a b", "stemma git post-commit")
	run("pre-push", 4, "perl refs", "stemma git pre-push")
	run("post-merge", 0, "stemma git post-merge")
	undo(t, journal)
	same(t, tree(t, hooks), before)
}
